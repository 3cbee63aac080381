//! The tracker: counts messages of views and maintains their partitions.

use std::{collections::HashSet, sync::LazyLock, time::Duration};

use catalog_logging::Chain;
use catalog_process::metrics;
use chrono::{DateTime, Utc};
use prometheus::IntCounter;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::{
    count::{CountOutcome, count_messages},
    partitions::Partitions,
};
use crate::{
    events::consume::{Handle, HandleError, Incoming, Malformed},
    views::message::Message,
};

/// Maximum number of changed rows per transaction, so that it commits well within the timeout of a batch even on a slow
/// database.
const MAX_ROWS: usize = 20_000;
/// Interval of partition maintenance. Partitions are created a day in advance.
const MAINTENANCE_INTERVAL: Duration = Duration::from_hours(1);
const MAINTENANCE_RETRY_INTERVAL: Duration = Duration::from_secs(10);

static VIEWS_COUNTED: LazyLock<IntCounter> =
    LazyLock::new(|| metrics::register_counter("views_counted_total", "Views added to the counts"));
static DUPLICATE_MESSAGES: LazyLock<IntCounter> =
    LazyLock::new(|| metrics::register_counter("view_messages_duplicate_total", "Messages of views that were counted before"));

/// Counts messages. Several trackers can run concurrently.
pub struct Tracker {
    pool: PgPool,
    partitions: Partitions,
}

impl Tracker {
    /// Creates a tracker that writes to `pool`.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        // Registers the metrics with zeros.
        LazyLock::force(&VIEWS_COUNTED);
        LazyLock::force(&DUPLICATE_MESSAGES);
        Self { pool, partitions: Partitions::default() }
    }

    async fn count(&self, messages: &[Message], now: DateTime<Utc>) -> Result<(), HandleError> {
        self.partitions.ensure(&self.pool, messages.iter().map(|message| message.created_at.date_naive())).await?;
        let CountOutcome { views, duplicates } =
            count_messages(&self.pool, messages, now).await.map_err(|error| self.classify_error(error))?;
        VIEWS_COUNTED.inc_by(views);
        DUPLICATE_MESSAGES.inc_by(duplicates);
        Ok(())
    }

    /// A check violation means that a partition is missing, for example because it was dropped. The messages can be retried then.
    fn classify_error(&self, error: sqlx::Error) -> HandleError {
        if error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_check_violation) {
            self.partitions.clear_cache();
            return HandleError::Transient(error.into());
        }
        error.into()
    }
}

impl Handle for Tracker {
    /// Counts the batch in as few transactions as possible, because each writes the sum per product. If a later transaction
    /// fails, the whole batch is redelivered, and the messages that were counted are recognised as duplicates.
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

/// Maintains the partitions of message ids until `stop`.
///
/// # Errors
/// None; database errors are logged and retried.
pub async fn maintain_partitions(pool: PgPool, stop: CancellationToken) -> anyhow::Result<()> {
    let partitions = Partitions::default();
    loop {
        let kept = partitions.maintain(&pool, Utc::now()).await;
        let pause = if kept.is_ok() { MAINTENANCE_INTERVAL } else { MAINTENANCE_RETRY_INTERVAL };
        if let Err(error) = kept {
            tracing::warn!(error = %Chain(&error), "partition maintenance failed; retrying");
        }
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return Ok(());
        }
    }
}
