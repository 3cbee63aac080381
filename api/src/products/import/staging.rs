//! Checked rows on their way: kept in the database until all are there, so that an import of any
//! size takes little memory and rows of one sku meet wherever they stood.

use std::time::Duration;

use catalog_logging::Chain;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, PgPool};
use tracing::{Instrument, Span};
use uuid::{NoContext, Timestamp, Uuid};

use super::row::ImportRow;

/// Rows read back at once, at most.
const PAGE_ROWS: i64 = 1000;
/// Bytes read back at once, at most, but for a single row.
const PAGE_BYTES: i64 = 8 * 1024 * 1024;
/// Staged rows older than this belong to no running import.
const ABANDONED_AFTER: TimeDelta = TimeDelta::days(1);

/// Some checked rows, in columns.
#[derive(Debug, Default)]
pub struct Batch {
    rows: Vec<i64>,
    skus: Vec<String>,
    documents: Vec<String>,
    bytes: usize,
}

impl Batch {
    /// Rows and bytes after which a batch is to be sent.
    const FULL: (usize, usize) = (1000, 1024 * 1024);

    /// Adds a row.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn push(&mut self, number: u64, row: ImportRow) -> serde_json::Result<()> {
        let document = serde_json::to_string(&row)?;
        self.bytes += document.len();
        self.rows.push(i64::try_from(number).unwrap_or(i64::MAX));
        self.skus.push(row.sku);
        self.documents.push(document);
        Ok(())
    }

    /// Whether it is time to send it.
    pub fn is_full(&self) -> bool {
        self.rows.len() >= Self::FULL.0 || self.bytes >= Self::FULL.1
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.rows.len()
    }
}

/// The staged rows of one import. Dropping it removes them.
pub struct Staging {
    pool: PgPool,
    import_id: Uuid,
    cleared: bool,
}

impl Staging {
    /// Nothing is staged yet.
    #[must_use]
    pub fn new(pool: PgPool, import_id: Uuid) -> Self {
        Self { pool, import_id, cleared: false }
    }

    /// Stages rows.
    ///
    /// # Errors
    /// If the database refuses.
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

    /// Removes the rows.
    ///
    /// # Errors
    /// If the database refuses; [`purge_leftovers`] gets them later.
    pub async fn clear(mut self) -> Result<(), sqlx::Error> {
        remove(&self.pool, self.import_id).await?;
        self.cleared = true;
        Ok(())
    }
}

async fn remove(pool: &PgPool, import_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM products.import_rows WHERE import_id = $1", import_id).execute(pool).await?;
    Ok(())
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.cleared {
            return;
        }
        let (pool, import_id) = (self.pool.clone(), self.import_id);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let remove = async move {
                if let Err(error) = remove(&pool, import_id).await {
                    tracing::warn!(error = %Chain(&error), %import_id, "staged rows not deleted");
                }
            };
            runtime.spawn(remove.instrument(Span::current()));
        }
    }
}

/// A staged row.
pub struct StagedRow {
    /// Whose.
    pub sku: String,
    /// Number of the row, from 1.
    pub row: i64,
    /// As [`Batch::push`] wrote it.
    pub document: String,
}

/// The rows after (`sku`, `row`), by sku and number, as many as fit into memory well: at least one
/// unless there are no more.
///
/// # Errors
/// If the database refuses.
pub async fn page(connection: &mut PgConnection, import_id: Uuid, sku: &str, row: i64) -> Result<Vec<StagedRow>, sqlx::Error> {
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

/// Removes staged rows of imports that began more than a day ago, and says how many.
///
/// # Errors
/// If the database refuses.
pub async fn purge_leftovers(pool: &PgPool, now: DateTime<Utc>) -> Result<u64, sqlx::Error> {
    // The id of an import is a UUIDv7, which begins with its time.
    let millis = u64::try_from((now - ABANDONED_AFTER).timestamp_millis()).unwrap_or(0);
    let time = Duration::from_millis(millis);
    let oldest = Uuid::new_v7(Timestamp::from_unix(NoContext, time.as_secs(), time.subsec_nanos()));
    let gone = sqlx::query!("DELETE FROM products.import_rows WHERE import_id < $1", oldest).execute(pool).await?;
    Ok(gone.rows_affected())
}
