//! View totals of products, and the queue of changed totals.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

/// View count of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ProductViews)]
pub struct Total {
    /// Number of views.
    #[schema(example = 1204, minimum = 0)]
    pub total: i64,
    /// Time of the reading. The most recent views may not be counted yet.
    pub as_of: DateTime<Utc>,
}

/// Reads the total of a product; 0 if it has no views.
///
/// # Errors
/// Database errors.
pub async fn read_total(pool: &PgPool, product_id: Uuid, now: DateTime<Utc>) -> Result<Total, sqlx::Error> {
    let total = sqlx::query_scalar!("SELECT total FROM tracking.product_views WHERE product_id = $1", product_id);
    Ok(Total { total: total.fetch_optional(pool).await?.unwrap_or(0), as_of: now })
}

/// Changed totals with their current values.
#[derive(Debug, Default)]
pub struct Changed {
    /// Product ids and totals, each product once.
    pub totals: Vec<(Uuid, i64)>,
    /// Whether more changed totals are queued.
    pub more: bool,
}

/// Removes changed totals from the queue and reads them. If `tx` is rolled back, they stay queued. Returns none while another
/// transaction does the same; otherwise it could overwrite a newer total with an older one.
///
/// The tracker queues product ids in the transaction that changes their totals, so the queue does not depend on clocks or on
/// the order of commits: uncommitted changes are found by a later call.
///
/// # Errors
/// Database errors.
pub async fn take_changed_totals(tx: &mut PgConnection) -> Result<Changed, sqlx::Error> {
    /// Maximum number of queue rows per call.
    const MAX_ROWS: i64 = 25;
    /// Advisory lock of the queue: "totals" in ASCII.
    const LOCK: i64 = 0x746f_7461_6c73;
    if !sqlx::query_scalar!("SELECT pg_try_advisory_xact_lock($1) AS \"locked!\"", LOCK).fetch_one(&mut *tx).await? {
        return Ok(Changed::default());
    }
    let taken = sqlx::query_scalar!(
        "DELETE FROM tracking.changed_totals WHERE seq IN (SELECT seq FROM tracking.changed_totals ORDER BY seq LIMIT $1)
         RETURNING product_ids",
        MAX_ROWS,
    )
    .fetch_all(&mut *tx)
    .await?;
    let more = i64::try_from(taken.len()).is_ok_and(|taken| taken == MAX_ROWS);
    let mut ids = taken.concat();
    ids.sort_unstable();
    ids.dedup();
    let rows = sqlx::query!("SELECT product_id, total FROM tracking.product_views WHERE product_id = ANY($1)", &ids);
    let totals = rows.fetch_all(tx).await?.into_iter().map(|row| (row.product_id, row.total)).collect();
    Ok(Changed { totals, more })
}
