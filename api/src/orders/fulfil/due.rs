//! Polls for due orders (confirmed, and the fulfilment delay has passed) and overlooked orders (pending, and their event did not
//! arrive).

use std::{collections::HashMap, time::Duration};

use catalog_logging::Chain;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{FulfilmentPolicy, IfLocked};
use crate::{database, http::clock, orders::Error};

/// Poll interval.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Orders per query.
const PAGE: i64 = 100;
/// Timeout per order. An order that takes longer is treated like a database outage.
const ORDER_TIMEOUT: Duration = Duration::from_secs(10);
/// Time after which an order that could not be advanced is retried and logged again.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);
/// Age at which a pending order is confirmed without its event.
const EVENT_GRACE_PERIOD: TimeDelta = TimeDelta::minutes(1);

/// Advances due orders until `stop`. Several fulfillers can do so concurrently.
///
/// # Errors
/// None; database errors are logged and retried.
pub async fn poll_due_orders(pool: PgPool, policy: FulfilmentPolicy, stop: CancellationToken) -> anyhow::Result<()> {
    let mut due = DueOrders { pool, policy, postponed: HashMap::new() };
    loop {
        if let Err(error) = due.advance_all(&stop).await {
            tracing::warn!(error = %Chain(&error), "due orders not advanced; retrying");
        }
        if stop.run_until_cancelled(tokio::time::sleep(POLL_INTERVAL)).await.is_none() {
            return Ok(());
        }
    }
}

struct DueOrders {
    pool: PgPool,
    policy: FulfilmentPolicy,
    /// Orders that could not be advanced in the last [`RETRY_INTERVAL`], and the time of the attempt.
    postponed: HashMap<Uuid, Instant>,
}

impl DueOrders {
    /// Advances all orders that are due now, each at most once. An order that fails does not hold up the others.
    async fn advance_all(&mut self, stop: &CancellationToken) -> Result<(), sqlx::Error> {
        let now = clock::now();
        self.postponed.retain(|_, since| since.elapsed() < RETRY_INTERVAL);
        let mut after = Uuid::nil();
        loop {
            let due = self.read_page(after, now).await?;
            for id in &due {
                if stop.is_cancelled() {
                    return Ok(());
                }
                if !self.postponed.contains_key(id) {
                    self.advance_order(*id, now).await?;
                }
            }
            match due.last() {
                Some(last) => after = *last,
                None => return Ok(()),
            }
        }
    }

    async fn read_page(&self, after: Uuid, now: DateTime<Utc>) -> Result<Vec<Uuid>, sqlx::Error> {
        sqlx::query_scalar!(
            r#"SELECT id AS "id!" FROM (
                   SELECT id FROM orders.orders WHERE status = 'confirmed' AND fulfil_at <= $1
                   UNION ALL
                   SELECT id FROM orders.orders WHERE status = 'pending' AND created_at <= $2
               ) due
               WHERE id > $3 ORDER BY id LIMIT $4"#,
            now,
            now - EVENT_GRACE_PERIOD,
            after,
            PAGE,
        )
        .fetch_all(&self.pool)
        .await
    }

    /// Returns an error only if the next order would fail as well.
    async fn advance_order(&mut self, id: Uuid, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
        let result = tokio::time::timeout(ORDER_TIMEOUT, self.policy.apply(id, IfLocked::Skip, now)).await;
        match result.unwrap_or(Err(Error::Database(sqlx::Error::PoolTimedOut))) {
            Ok(()) => Ok(()),
            Err(Error::Database(error)) if database::is_outage(&error) => Err(error),
            Err(error) => {
                if matches!(&error, Error::Database(error) if database::is_contention(error)) {
                    tracing::info!(order_id = %id, error = %Chain(&error), retry_after_s = RETRY_INTERVAL.as_secs(), "order locked by another transaction; retrying");
                } else {
                    tracing::error!(order_id = %id, error = %Chain(&error), retry_after_s = RETRY_INTERVAL.as_secs(), "order not advanced; retrying");
                }
                self.postponed.insert(id, Instant::now());
                Ok(())
            }
        }
    }
}
