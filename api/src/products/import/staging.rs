//! Staging of valid rows in a table until the whole body is read. An import of any size then needs little memory, and rows
//! of one sku are merged wherever they are in the body.

use std::time::Duration;

use catalog_logging::Chain;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, PgPool};
use tracing::{Instrument, Span};
use uuid::{NoContext, Timestamp, Uuid};

use super::row::ValidRow;

/// Maximum number of rows per page.
const PAGE_ROWS: i64 = 1000;
/// Maximum size of a page in bytes, except for a single larger row.
const PAGE_BYTES: i64 = 8 * 1024 * 1024;
/// How long staged rows are kept at most. No import runs that long.
const STAGED_ROWS_RETENTION: TimeDelta = TimeDelta::days(1);

/// A batch of rows, as columns.
#[derive(Debug, Default)]
pub struct Batch {
    rows: Vec<i64>,
    skus: Vec<String>,
    documents: Vec<String>,
    bytes: usize,
}

impl Batch {
    /// Number of rows and bytes of a full batch.
    const FULL: (usize, usize) = (1000, 1024 * 1024);

    /// Adds a row.
    ///
    /// # Errors
    /// If the row cannot be serialised as JSON.
    pub fn push(&mut self, number: u64, row: ValidRow) -> serde_json::Result<()> {
        let document = serde_json::to_string(&row)?;
        self.bytes += document.len();
        self.rows.push(i64::try_from(number).unwrap_or(i64::MAX));
        self.skus.push(row.sku);
        self.documents.push(document);
        Ok(())
    }

    /// Whether the batch should be sent.
    pub fn is_full(&self) -> bool {
        self.rows.len() >= Self::FULL.0 || self.bytes >= Self::FULL.1
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }
}

/// The staged rows of one import. Dropping this deletes them.
pub struct Staging {
    pool: PgPool,
    import_id: Uuid,
    cleared: bool,
}

impl Staging {
    /// Creates the staging of an import, without rows.
    #[must_use]
    pub fn new(pool: PgPool, import_id: Uuid) -> Self {
        Self { pool, import_id, cleared: false }
    }

    /// Stages rows.
    ///
    /// # Errors
    /// Database errors.
    pub async fn add(&self, batch: &Batch) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "INSERT INTO products.import_rows (import_id, sku, row, document) SELECT $1, * FROM UNNEST($2::text[], $3::bigint[], $4::text[])",
            self.import_id,
            &batch.skus,
            &batch.rows,
            &batch.documents,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Deletes the rows. Logs an error, because the import is committed; [`purge_abandoned_rows`] then deletes them later.
    pub async fn clear(mut self) {
        delete_or_log(&self.pool, self.import_id).await;
        self.cleared = true;
    }
}

async fn delete_or_log(pool: &PgPool, import_id: Uuid) {
    if let Err(error) = sqlx::query!("DELETE FROM products.import_rows WHERE import_id = $1", import_id).execute(pool).await {
        tracing::warn!(error = %Chain(&error), %import_id, "staged rows not deleted");
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.cleared {
            return;
        }
        let (pool, import_id) = (self.pool.clone(), self.import_id);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let delete = async move { delete_or_log(&pool, import_id).await };
            runtime.spawn(delete.instrument(Span::current()));
        }
    }
}

/// A staged row.
pub struct StagedRow {
    /// Sku of the row.
    pub sku: String,
    /// Number of the row, from 1.
    pub row: i64,
    /// The row as JSON, written by [`Batch::push`].
    pub document: String,
}

/// Reads a page of rows after (`sku`, `row`), ordered by sku and row. The page is limited in bytes and has at least one row
/// unless there are no more.
///
/// # Errors
/// Database errors.
pub async fn read_page(connection: &mut PgConnection, import_id: Uuid, sku: &str, row: i64) -> Result<Vec<StagedRow>, sqlx::Error> {
    sqlx::query_as!(
        StagedRow,
        r#"SELECT sku AS "sku!", row AS "row!", document AS "document!" FROM (
               SELECT sku, row, document, SUM(octet_length(document)) OVER (ORDER BY sku, row) - octet_length(document) AS bytes_before
               FROM (SELECT sku, row, document FROM products.import_rows
                     WHERE import_id = $1 AND (sku, row) > ($2, $3) ORDER BY sku, row LIMIT $4) page) sized
           WHERE bytes_before < $5 ORDER BY sku, row"#,
        import_id,
        sku,
        row,
        PAGE_ROWS,
        PAGE_BYTES,
    )
    .fetch_all(connection)
    .await
}

/// Deletes the staged rows of imports that began more than a day ago, and returns their number.
///
/// # Errors
/// Database errors.
pub async fn purge_abandoned_rows(pool: &PgPool, now: DateTime<Utc>) -> Result<u64, sqlx::Error> {
    // An import id is a UUIDv7, which starts with its time.
    let millis = u64::try_from((now - STAGED_ROWS_RETENTION).timestamp_millis()).unwrap_or(0);
    let time = Duration::from_millis(millis);
    let oldest = Uuid::new_v7(Timestamp::from_unix(NoContext, time.as_secs(), time.subsec_nanos()));
    let deleted = sqlx::query!("DELETE FROM products.import_rows WHERE import_id < $1", oldest).execute(pool).await?;
    Ok(deleted.rows_affected())
}
