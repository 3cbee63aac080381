//! Progress of imports. Each chunk adds its counts in its transaction. At the end of an import, its process or the
//! housekeeping of another process publishes them as one summary.

use std::{convert::Infallible, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgPool, Postgres, Transaction};
use uuid::Uuid;

use crate::{
    events::{Actor, Draft, Origin, Outbox, UnitOfWork},
    products::ImportSummary,
};

/// Heartbeat interval of a running import.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(2);
/// Time without progress or heartbeat after which an import counts as abandoned.
const HEARTBEAT_TIMEOUT: TimeDelta = TimeDelta::seconds(10);

/// Products of an import, by outcome.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// New products.
    pub created: u64,
    /// Products with a new version.
    pub updated: u64,
    /// Products without a new version: unchanged, or only with a new quantity.
    pub unchanged: u64,
}

/// Adds the counts of one chunk. `failed` rows were rejected before the first chunk, `rejected_rows` with this one.
///
/// # Errors
/// Database errors.
pub async fn record_progress(
    work: &mut UnitOfWork,
    import_id: Uuid,
    counts: Counts,
    failed: u64,
    rejected_rows: u64,
) -> Result<(), sqlx::Error> {
    let origin = work.origin();
    sqlx::query!(
        "INSERT INTO products.imports AS i (id, actor_id, actor_username, request_id, traceparent, created, updated, unchanged, failed, progressed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::bigint + $10::bigint, $11)
         ON CONFLICT (id) DO UPDATE SET created = i.created + excluded.created, updated = i.updated + excluded.updated,
             unchanged = i.unchanged + excluded.unchanged, failed = i.failed + $10, progressed_at = excluded.progressed_at",
        import_id,
        origin.actor.id,
        origin.actor.username,
        origin.request_id,
        origin.traceparent,
        signed(counts.created),
        signed(counts.updated),
        signed(counts.unchanged),
        signed(failed),
        signed(rejected_rows),
        work.now(),
    )
    .execute(&mut **work)
    .await?;
    Ok(())
}

/// Updates the heartbeat of an import periodically.
pub async fn run_heartbeat(pool: &PgPool, import_id: Uuid, clock: fn() -> DateTime<Utc>) -> Infallible {
    loop {
        tokio::time::sleep(HEARTBEAT_INTERVAL).await;
        let updated = sqlx::query!("UPDATE products.imports SET progressed_at = $2 WHERE id = $1", import_id, clock()).execute(pool).await;
        if let Err(error) = updated {
            tracing::debug!(%error, %import_id, "import heartbeat failed; retrying");
        }
    }
}

/// Ends an import: deletes its counts and appends its summary, unless it changed no product.
///
/// # Errors
/// Database errors; [`finish_abandoned_imports`] then does it later.
pub async fn finish_import(pool: &PgPool, outbox: &Outbox, import_id: Uuid, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    let row =
        sqlx::query_as!(EndedImport, "DELETE FROM products.imports WHERE id = $1 RETURNING *", import_id).fetch_optional(&mut *tx).await?;
    match row {
        Some(row) => row.finish(tx, outbox, now).await,
        None => Ok(()),
    }
}

/// Ends abandoned imports, whose heartbeat has stopped, and returns their number. An import whose process is still alive
/// continues and reports the rest in a second summary, so that each product is reported once.
///
/// # Errors
/// Database errors.
pub async fn finish_abandoned_imports(pool: &PgPool, outbox: &Outbox, now: DateTime<Utc>) -> Result<u64, sqlx::Error> {
    let mut finished = 0;
    loop {
        let mut tx = pool.begin().await?;
        let row = sqlx::query_as!(
            EndedImport,
            "DELETE FROM products.imports WHERE id =
                 (SELECT id FROM products.imports WHERE progressed_at < $1 ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
             RETURNING *",
            now - HEARTBEAT_TIMEOUT,
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row else { return Ok(finished) };
        tracing::warn!(import_id = %row.id, request_id = row.request_id, "import abandoned; reporting its committed rows");
        row.finish(tx, outbox, now).await?;
        finished += 1;
    }
}

/// Appends the summary of an import to the outbox, unless it changed no product.
///
/// # Errors
/// Database errors.
pub async fn append_summary(work: &mut UnitOfWork, import_id: Uuid, counts: Counts, failed: u64) -> Result<(), sqlx::Error> {
    if counts.created + counts.updated == 0 {
        return Ok(());
    }
    let Counts { created, updated, unchanged } = counts;
    let data = ImportSummary { import_id, created, updated, unchanged, failed, actor: work.origin().actor.clone() };
    work.append(Draft { kind: "product.imported", aggregate_id: import_id, data }).await
}

struct EndedImport {
    id: Uuid,
    actor_id: Uuid,
    actor_username: String,
    request_id: String,
    traceparent: String,
    created: i64,
    updated: i64,
    unchanged: i64,
    failed: i64,
    #[allow(dead_code, reason = "RETURNING * has it")]
    progressed_at: DateTime<Utc>,
}

impl EndedImport {
    /// Appends the summary and commits the deletion of the row.
    async fn finish(self, tx: Transaction<'static, Postgres>, outbox: &Outbox, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
        let actor = Actor { id: self.actor_id, username: self.actor_username };
        let origin = Origin { actor, request_id: self.request_id, traceparent: self.traceparent };
        let counts = Counts { created: unsigned(self.created), updated: unsigned(self.updated), unchanged: unsigned(self.unchanged) };
        let mut work = UnitOfWork::new(tx, outbox, origin, now);
        append_summary(&mut work, self.id, counts, unsigned(self.failed)).await?;
        work.commit().await
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
