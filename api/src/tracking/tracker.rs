//! What the tracker does with messages of views.

use std::{collections::HashSet, sync::LazyLock, time::Duration};

use catalog_logging::Chain;
use chrono::{DateTime, Utc};
use prometheus::IntCounter;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::{
    count::{Counted, count},
    message::Message,
    partitions::Partitions,
};
use crate::{
    events::consume::{Handle, HandleError, Incoming, Malformed},
    metrics,
};

/// A transaction takes messages until they change this many rows: each then gets its commit well
/// within the time a batch may take, however slow the database.
const MAX_ROWS: usize = 20_000;
/// How often partitions are looked after. Tomorrow's are there long before they are needed.
const UPKEEP_INTERVAL: Duration = Duration::from_hours(1);
const UPKEEP_RETRY: Duration = Duration::from_secs(10);

static COUNTED: LazyLock<IntCounter> = LazyLock::new(|| metrics::counter("views_counted_total", "Views added to the counts"));
static DUPLICATES: LazyLock<IntCounter> =
    LazyLock::new(|| metrics::counter("view_messages_duplicate_total", "Messages of views that had been counted before"));

/// Counts messages. Any number of trackers may work side by side.
pub struct Tracker {
    pool: PgPool,
    partitions: Partitions,
}

impl Tracker {
    /// Counts in the database of `pool`.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        // Made now, so that zero is seen before the first message.
        LazyLock::force(&COUNTED);
        LazyLock::force(&DUPLICATES);
        Self { pool, partitions: Partitions::default() }
    }

    async fn count(&self, messages: &[Message], now: DateTime<Utc>) -> Result<(), HandleError> {
        self.partitions.ensure(&self.pool, messages.iter().map(|message| message.frozen_at.date_naive())).await?;
        let Counted { views, duplicates } = count(&self.pool, messages, now).await.map_err(|error| self.judge(error))?;
        COUNTED.inc_by(views);
        DUPLICATES.inc_by(duplicates);
        Ok(())
    }

    /// A row without a partition violates a check: then somebody dropped it, and no message is at fault.
    fn judge(&self, error: sqlx::Error) -> HandleError {
        if error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_check_violation) {
            self.partitions.forget();
            return HandleError::Transient(error.into());
        }
        error.into()
    }
}

impl Handle for Tracker {
    /// Counts in one transaction if it can: the more messages, the more views of a product become one
    /// write. When a later transaction fails, the messages of those before come again and are recognised.
    async fn handle(&self, batch: &[Incoming]) -> Result<Vec<Malformed>, HandleError> {
        let now = Utc::now();
        let mut malformed = Vec::new();
        let mut messages = Vec::with_capacity(batch.len());
        let mut rows = HashSet::new();
        for (index, incoming) in batch.iter().enumerate() {
            match Message::parse(incoming.payload(), now) {
                Ok(message) => {
                    rows.extend(message.views.iter().map(|view| (view.product_id, view.hour)));
                    messages.push(message);
                }
                Err(error) => malformed.push(Malformed { index, reason: error.to_string() }),
            }
            if rows.len() >= MAX_ROWS {
                self.count(&messages, now).await?;
                messages.clear();
                rows.clear();
            }
        }
        if !messages.is_empty() {
            self.count(&messages, now).await?;
        }
        Ok(malformed)
    }
}

/// Looks after the partitions of message ids until `stop`.
///
/// # Errors
/// None: it tries on.
pub async fn keep_partitions(pool: PgPool, stop: CancellationToken) -> anyhow::Result<()> {
    let partitions = Partitions::default();
    loop {
        let kept = partitions.keep(&pool, Utc::now()).await;
        let pause = if kept.is_ok() { UPKEEP_INTERVAL } else { UPKEEP_RETRY };
        if let Err(error) = kept {
            tracing::warn!(error = %Chain(&error), "partition maintenance failed; retrying");
        }
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return Ok(());
        }
    }
}
