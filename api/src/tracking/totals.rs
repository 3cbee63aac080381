//! Totals of products, and which of them changed.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

/// How often a product was viewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Total {
    /// Views counted so far.
    #[schema(example = 1204, minimum = 0)]
    pub total: i64,
    /// When this was true. Views of the last moments may be on their way.
    pub as_of: DateTime<Utc>,
}

/// The total of a product, 0 for one that nobody viewed.
///
/// # Errors
/// If the database refuses.
pub async fn total(pool: &PgPool, product_id: Uuid, now: DateTime<Utc>) -> Result<Total, sqlx::Error> {
    let total = sqlx::query_scalar!("SELECT total FROM tracking.product_views WHERE product_id = $1", product_id);
    Ok(Total { total: total.fetch_optional(pool).await?.unwrap_or(0), as_of: now })
}

/// Some of the totals that changed since they were taken last, as they are now.
#[derive(Debug, Default)]
pub struct Changed {
    /// Product and total, each product once.
    pub totals: Vec<(Uuid, i64)>,
    /// Whether more wait to be taken.
    pub more: bool,
}

/// Takes changed totals. They are taken when `tx` commits: until then, and for ever if it doesn't,
/// they stay changed. None are taken while somebody else takes some: otherwise a total that was read
/// earlier could be written later.
///
/// Each counting leaves its product ids behind in its own transaction, so that there is no question
/// of clocks or of the order of commits: what isn't committed yet is simply taken next time.
///
/// # Errors
/// If the database refuses.
pub async fn take_changed(tx: &mut PgConnection) -> Result<Changed, sqlx::Error> {
    /// Countings taken at once.
    const COUNTINGS: i64 = 25;
    /// Ours among the advisory locks of the database.
    const LOCK: i64 = 0x746f_7461_6c73;
    if !sqlx::query_scalar!("SELECT pg_try_advisory_xact_lock($1) AS \"locked!\"", LOCK).fetch_one(&mut *tx).await? {
        return Ok(Changed::default());
    }
    let taken = sqlx::query_scalar!(
        "DELETE FROM tracking.changed_totals WHERE seq IN (SELECT seq FROM tracking.changed_totals ORDER BY seq LIMIT $1)
         RETURNING product_ids",
        COUNTINGS,
    )
    .fetch_all(&mut *tx)
    .await?;
    let more = i64::try_from(taken.len()).is_ok_and(|taken| taken == COUNTINGS);
    let mut ids = taken.concat();
    ids.sort_unstable();
    ids.dedup();
    let rows = sqlx::query!("SELECT product_id, total FROM tracking.product_views WHERE product_id = ANY($1)", &ids);
    let totals = rows.fetch_all(tx).await?.into_iter().map(|row| (row.product_id, row.total)).collect();
    Ok(Changed { totals, more })
}
