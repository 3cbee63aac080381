//! What is due by the clock: confirmed orders are fulfilled when their time has come, and new ones whose event never
//! came are decided without it.

use std::{collections::HashMap, time::Duration};

use catalog_logging::Chain;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Busy, Decider};
use crate::{database, http::clock, orders::Error};

/// How often orders are looked for that are due.
const POLL: Duration = Duration::from_secs(1);
/// Orders read at once.
const PAGE: i64 = 100;
/// What one order may take: then the database is as good as away.
const PATIENCE: Duration = Duration::from_secs(10);
/// An order that cannot be moved on is left alone for so long, before it is tried and complained of again.
const RETRY: Duration = Duration::from_secs(10);
/// A new order is left to its event for so long.
const EVENT_PATIENCE: TimeDelta = TimeDelta::minutes(1);

/// Moves orders on when they are due, until `stop`. Any number of fulfillers share them.
///
/// # Errors
/// None: it tries on.
pub async fn run_due(pool: PgPool, decider: Decider, stop: CancellationToken) -> anyhow::Result<()> {
    let mut due = DueOrders { pool, decider, stuck: HashMap::new() };
    loop {
        if let Err(error) = due.round(&stop).await {
            tracing::warn!(error = %Chain(&error), "due orders not advanced; retrying");
        }
        if stop.run_until_cancelled(tokio::time::sleep(POLL)).await.is_none() {
            return Ok(());
        }
    }
}

struct DueOrders {
    pool: PgPool,
    decider: Decider,
    /// Orders that could not be moved on, and when: those of the last round, and of the last [`RETRY`].
    stuck: HashMap<Uuid, Instant>,
}

impl DueOrders {
    /// Moves all on that are due now. A round comes to each order once: one that cannot be moved keeps no other from it.
    async fn round(&mut self, stop: &CancellationToken) -> Result<(), sqlx::Error> {
        let now = clock::now();
        self.stuck.retain(|_, since| since.elapsed() < RETRY);
        let mut after = Uuid::nil();
        loop {
            let due = self.page(after, now).await?;
            for id in &due {
                if stop.is_cancelled() {
                    return Ok(());
                }
                if !self.stuck.contains_key(id) {
                    self.move_on(*id, now).await?;
                }
            }
            match due.last() {
                Some(last) => after = *last,
                None => return Ok(()),
            }
        }
    }

    async fn page(&self, after: Uuid, now: DateTime<Utc>) -> Result<Vec<Uuid>, sqlx::Error> {
        sqlx::query_scalar!(
            r#"SELECT id AS "id!" FROM (
                   SELECT id FROM orders.orders WHERE status = 'confirmed' AND fulfil_at <= $1
                   UNION ALL
                   SELECT id FROM orders.orders WHERE status = 'pending' AND created_at <= $2
               ) due
               WHERE id > $3 ORDER BY id LIMIT $4"#,
            now,
            now - EVENT_PATIENCE,
            after,
            PAGE,
        )
        .fetch_all(&self.pool)
        .await
    }

    /// Errors only if the next order would fare no better.
    async fn move_on(&mut self, id: Uuid, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
        let moved = tokio::time::timeout(PATIENCE, self.decider.decide(id, Busy::Skip, now)).await;
        match moved.unwrap_or(Err(Error::Database(sqlx::Error::PoolTimedOut))) {
            Ok(()) => Ok(()),
            Err(Error::Database(error)) if database::is_outage(&error) => Err(error),
            Err(error) => {
                if matches!(&error, Error::Database(error) if database::is_contention(error)) {
                    tracing::info!(order_id = %id, error = %Chain(&error), retry_after_s = RETRY.as_secs(), "order locked by another transaction; retrying");
                } else {
                    tracing::error!(order_id = %id, error = %Chain(&error), retry_after_s = RETRY.as_secs(), "order not advanced; retrying");
                }
                self.stuck.insert(id, Instant::now());
                Ok(())
            }
        }
    }
}
