//! Confirmed orders are fulfilled when their time has come.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection, PgPool};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::metrics;
use crate::{
    database,
    events::Origin,
    http::clock,
    orders::{Advanced, Error, Mover, Party, Status, Step},
};

/// How often orders are looked for that are due.
const POLL: Duration = Duration::from_secs(1);
/// Orders fulfilled in one transaction, at most: a customer who cancels may wait for it.
const BATCH: i64 = 32;
/// What one transaction may take: then the database is as good as away.
const BATCH_LIMIT: Duration = Duration::from_secs(10);

/// Fulfils orders when they are due, until `stop`. Any number of fulfillers share them.
///
/// # Errors
/// None: it tries on.
pub async fn run_due(pool: PgPool, mover: Mover, stop: CancellationToken) -> anyhow::Result<()> {
    metrics::start();
    let due = DueOrders { pool, mover, origin: Origin::shop("fulfiller") };
    loop {
        if let Err(error) = due.round(&stop).await {
            tracing::warn!(%error, "orders that are due are not fulfilled for now, trying on");
        }
        if stop.run_until_cancelled(tokio::time::sleep(POLL)).await.is_none() {
            return Ok(());
        }
    }
}

struct DueOrders {
    pool: PgPool,
    mover: Mover,
    origin: Origin,
}

/// Where a round is: the order looked at last.
type Cursor = (DateTime<Utc>, Uuid);

#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error("the database took longer than {} s", BATCH_LIMIT.as_secs())]
    Slow,
}

impl DueOrders {
    /// Fulfils all that are due now, those first that are due longest. A round never comes back to an order:
    /// one that cannot be fulfilled keeps no other from it.
    async fn round(&self, stop: &CancellationToken) -> Result<(), RoundError> {
        let now = clock::now();
        let mut cursor = Some((DateTime::UNIX_EPOCH, Uuid::nil()));
        while let Some(after) = cursor
            && !stop.is_cancelled()
        {
            let batch = tokio::time::timeout(BATCH_LIMIT, self.fulfil(after, now));
            cursor = batch.await.map_err(|_| RoundError::Slow)??;
        }
        Ok(())
    }

    /// Fulfils one batch, and gives where the next begins, if there may be one.
    async fn fulfil(&self, after: Cursor, now: DateTime<Utc>) -> Result<Option<Cursor>, sqlx::Error> {
        let mut tx = self.pool.begin().await?;
        let due = lock_due(&mut tx, after, now).await?;
        let step = Step { to: Status::Fulfilled, by: Party::Shop, reason: None, fulfil_at: None };
        let mut fulfilled = 0;
        for (_, id) in &due {
            // A savepoint: what is wrong with one order is not the fault of the others.
            let mut alone = tx.begin().await?;
            match self.mover.advance(&mut alone, &self.origin, *id, step, now).await {
                Ok(advanced) => {
                    alone.commit().await?;
                    fulfilled += u64::from(matches!(advanced, Advanced::Moved(..)));
                }
                Err(Error::Database(error)) if database::is_outage(&error) => return Err(error),
                Err(error) => {
                    alone.rollback().await?;
                    tracing::error!(order = %id, %error, "an order that is due cannot be fulfilled");
                }
            }
        }
        tx.commit().await?;
        metrics::advanced(Status::Fulfilled, fulfilled);
        let full = i64::try_from(due.len()).is_ok_and(|count| count == BATCH);
        Ok(due.last().copied().filter(|_| full))
    }
}

/// The next orders that are due, locked. Those that another fulfiller or a customer has locked are left to
/// them. The timeout frees them when this process stands still or its machine is gone.
async fn lock_due(tx: &mut PgConnection, (at, id): Cursor, now: DateTime<Utc>) -> Result<Vec<Cursor>, sqlx::Error> {
    let due = sqlx::query!(
        r#"SELECT id, fulfil_at AS "fulfil_at!", set_config('idle_in_transaction_session_timeout', '30s', true) FROM orders.orders
           WHERE status = 'confirmed' AND fulfil_at <= $1 AND (fulfil_at, id) > ($2, $3)
           ORDER BY fulfil_at, id LIMIT $4 FOR UPDATE SKIP LOCKED"#,
        now,
        at,
        id,
        BATCH,
    )
    .fetch_all(tx)
    .await?;
    Ok(due.into_iter().map(|order| (order.fulfil_at, order.id)).collect())
}
