//! Folding of names that an older release wrote, before an upgrade or during it.

use sqlx::{Acquire, PgConnection, PgPool};
use uuid::Uuid;

use super::fold;

/// Names per transaction, so that it holds few locks.
const BATCH: usize = 1000;

/// Folds all names that are not folded and returns their number. Rows that others have locked are skipped.
///
/// # Errors
/// Database errors.
pub async fn refold_all(conn: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let (mut sum, mut after) = (0, Uuid::nil());
    loop {
        let ids = batch(conn, after).await?;
        sum += ids.len() as u64;
        match ids.last() {
            Some(last) if ids.len() == BATCH => after = *last,
            _ => return Ok(sum),
        }
    }
}

/// Calls [`refold_all`] with a connection of the pool, for housekeeping. Cheap: it reads an index that is almost always empty.
///
/// # Errors
/// Database errors.
pub async fn refold(pool: &PgPool) -> Result<u64, sqlx::Error> {
    refold_all(&mut *pool.acquire().await?).await
}

/// Folds the next batch in the order of ids, so that no batch visits skipped rows again.
async fn batch(conn: &mut PgConnection, after: Uuid) -> Result<Vec<Uuid>, sqlx::Error> {
    let mut tx = conn.begin().await?;
    let rows = sqlx::query!(
        "SELECT id, name FROM products.products WHERE search_name_of IS DISTINCT FROM name AND id > $1
         ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED",
        after,
        i64::try_from(BATCH).unwrap_or(i64::MAX),
    )
    .fetch_all(&mut *tx)
    .await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    let folds: Vec<String> = rows.iter().map(|row| fold(&row.name)).collect();
    sqlx::query!(
        "UPDATE products.products p SET search_name = new.search_name, search_name_of = new.name
         FROM UNNEST($1::uuid[], $2::text[], $3::text[]) AS new (id, name, search_name) WHERE p.id = new.id",
        &ids,
        &names as _,
        &folds,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(ids)
}
