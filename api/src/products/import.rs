//! Bulk imports: upserts by sku, of any size, in constant memory.
//!
//! Rows are parsed and validated one by one and staged in the database ([`catalog_rows`], [`rows`], [`row`], [`parsed`],
//! [`staging`]). They are then read back in the order of skus, and the rows of one sku are merged ([`merge`]). The result is
//! applied in chunks ([`apply`]), each in a transaction with its events and its part of the summary ([`progress`]). An atomic
//! import applies all chunks in one transaction.

mod apply;
mod error;
mod merge;
mod normalize;
mod parsed;
mod permits;
mod progress;
mod report;
mod row;
mod rows;
mod staging;
mod upsert;

use std::time::Duration;

use apply::{Applied, StockCounts};
use backon::{BackoffBuilder, ExponentialBuilder};
use chrono::{DateTime, Utc};
use futures::{TryStreamExt, stream::FuturesUnordered};
use tokio::{io::AsyncRead, sync::SemaphorePermit};
use uuid::Uuid;

pub use error::Error;
use merge::{Chunk, MergedRows};
use parsed::ParsedRows;
use permits::AdminPermit;
pub use permits::Permits;
use progress::Counts;
pub use progress::finish_abandoned_imports;
pub use report::{ImportResult, RowError};
pub use row::RowDocument;
pub use rows::Format;
use staging::Staging;
pub use staging::purge_abandoned_rows;

use super::Catalogue;
use crate::events::{Origin, UnitOfWork};

/// Concurrent transactions of one import: one is computed while another is written.
const MAX_IN_FLIGHT: usize = 2;

/// Attempts per chunk, if other transactions contend for its products.
const MAX_ATTEMPTS: usize = 5;

/// Context of an import.
pub struct Import<'a> {
    /// Catalogue that is imported into.
    pub catalogue: &'a Catalogue,
    /// Limits of all imports of this process.
    pub permits: &'a Permits,
    /// The admin and the request.
    pub origin: &'a Origin,
    /// Gives each transaction its own time, because an import can take hours.
    pub clock: fn() -> DateTime<Utc>,
}

/// An import whose rows are staged.
pub struct Staged<'a> {
    id: Uuid,
    parsed_rows: ParsedRows,
    staging: Staging,
    _applying: SemaphorePermit<'a>,
    _admin: AdminPermit<'a>,
}

/// Imports the rows of `source` in transactions of a few hundred products. Invalid rows are reported in the result; the others
/// are imported. `is_authorized` is awaited once, between the last row and the first write.
///
/// # Errors
/// If the source cannot be read or the database fails. Committed chunks stay; importing the same rows again completes the
/// import.
pub async fn run<R>(
    import: &Import<'_>,
    format: Format,
    source: R,
    is_authorized: impl Future<Output = Result<bool, sqlx::Error>>,
) -> Result<ImportResult, Error>
where
    R: AsyncRead + Unpin + Send + 'static,
{
    let mut staged = import.stage(format, source, is_authorized).await?;
    let pool = &import.catalogue.database.primary;
    let id = staged.id;
    let applied = tokio::select! {
        applied = import.apply(&mut staged) => applied,
        never = progress::run_heartbeat(pool, id, import.clock) => match never {},
    };
    // Also if the import failed, because its first chunks may be committed.
    let finished = progress::finish_import(pool, &import.catalogue.outbox, id, (import.clock)()).await;
    let result = applied?;
    finished?;
    staged.clear().await;
    Ok(result)
}

impl Staged<'_> {
    /// SHA-256 of the request body.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        self.parsed_rows.hash
    }

    /// Deletes the staged rows. If that fails, they are deleted later.
    pub async fn clear(self) {
        self.staging.clear().await;
    }

    /// # Errors
    /// [`Error::Rejected`] if any row was rejected.
    fn require_no_rejected(&mut self) -> Result<(), Error> {
        if self.parsed_rows.result.failed == 0 { Ok(()) } else { Err(Error::Rejected(std::mem::take(&mut self.parsed_rows.result))) }
    }

    /// # Errors
    /// [`Error::RowsLost`] unless every staged row was read back. A crash of PostgreSQL truncates the unlogged staging table.
    fn require_all_read(&self, rows: &MergedRows) -> Result<(), Error> {
        if rows.rows_read() == self.parsed_rows.staged { Ok(()) } else { Err(Error::RowsLost) }
    }
}

impl<'a> Import<'a> {
    /// Stages the valid rows, waits for the permit to write, and checks the session again, which may have ended since the
    /// request began hours ago.
    ///
    /// # Errors
    /// [`Error::TooManyImportsOfAdmin`] and [`Error::Busy`] before reading, [`Error::SessionEnded`] after reading, and all
    /// errors of reading.
    async fn stage<R>(
        &self,
        format: Format,
        source: R,
        is_authorized: impl Future<Output = Result<bool, sqlx::Error>>,
    ) -> Result<Staged<'a>, Error>
    where
        R: AsyncRead + Unpin + Send + 'static,
    {
        let admin = self.permits.acquire_for_admin(self.origin.actor.id)?;
        let id = Uuid::now_v7();
        let staging = Staging::new(self.catalogue.database.primary.clone(), id);
        let parsed_rows = {
            let _upload = self.permits.acquire_upload()?;
            parsed::parse_and_stage(format, source, self.catalogue.rules(), &staging, self.permits).await?
        };
        let applying = self.permits.acquire_applying().await?;
        if !is_authorized.await? {
            return Err(Error::SessionEnded);
        }
        Ok(Staged { id, parsed_rows, staging, _applying: applying, _admin: admin })
    }

    /// Stages the rows of an atomic import. `is_authorized` is awaited as in [`run`].
    ///
    /// # Errors
    /// [`Error::Rejected`] if any row is invalid, and all errors of an import.
    pub async fn stage_atomic<R>(
        &self,
        format: Format,
        source: R,
        is_authorized: impl Future<Output = Result<bool, sqlx::Error>>,
    ) -> Result<Staged<'a>, Error>
    where
        R: AsyncRead + Unpin + Send + 'static,
    {
        let mut staged = self.stage(format, source, is_authorized).await?;
        staged.require_no_rejected()?;
        Ok(staged)
    }

    /// Begins a unit of work.
    ///
    /// # Errors
    /// Database errors.
    pub async fn begin(&self) -> Result<UnitOfWork, sqlx::Error> {
        self.catalogue.begin(self.origin.clone(), (self.clock)()).await
    }

    /// Applies all staged rows and the summary in `work`.
    ///
    /// # Errors
    /// [`Error::Rejected`] if any row is invalid, [`Error::Contended`] if a retry can succeed.
    pub async fn apply_atomic(&self, work: &mut UnitOfWork, staged: &Staged<'_>) -> Result<ImportResult, Error> {
        let mut totals = Totals::default();
        totals.result.blank = staged.parsed_rows.result.blank;
        let mut rows = MergedRows::new(staged.id);
        let mut stock_counts = StockCounts::default();
        let rules = self.catalogue.rules();
        loop {
            let chunk = rows.next_chunk(work, &rules).await?;
            if chunk.is_empty() {
                break;
            }
            totals.result.add_rejected(chunk.rejected);
            totals.result.add_warnings(chunk.warnings);
            let mut applied = apply::apply_chunk(work, &rules, staged.id, &chunk.rows).await?;
            stock_counts.add(std::mem::take(&mut applied.stock_counts));
            totals.add(applied);
        }
        staged.require_all_read(&rows)?;
        if totals.result.failed > 0 {
            totals.result.sort();
            return Err(Error::Rejected(totals.result));
        }
        totals.result.sort();
        totals.count_quantity_changes(stock_counts.apply(work).await?);
        progress::append_summary(work, staged.id, totals.counts, 0).await?;
        Ok(totals.result)
    }

    async fn apply(&self, staged: &mut Staged<'_>) -> Result<ImportResult, Error> {
        let pool = &self.catalogue.database.primary;
        let mut totals = Totals { result: std::mem::take(&mut staged.parsed_rows.result), ..Totals::default() };
        let failed = totals.result.failed;
        let mut rows = MergedRows::new(staged.id);
        let mut in_flight = FuturesUnordered::new();
        let mut more = true;
        loop {
            while more && in_flight.len() < MAX_IN_FLIGHT {
                let mut chunk = rows.next_chunk(&mut *pool.acquire().await?, &self.catalogue.rules()).await?;
                more = !chunk.is_empty();
                if more {
                    totals.result.add_warnings(std::mem::take(&mut chunk.warnings));
                    in_flight.push(self.commit_chunk(staged.id, chunk, failed));
                }
            }
            let Some((applied, quantity_changes)) = in_flight.try_next().await? else { break };
            totals.add(applied);
            totals.count_quantity_changes(quantity_changes);
        }
        staged.require_all_read(&rows)?;
        totals.result.sort();
        Ok(totals.result)
    }

    /// Applies one chunk in a transaction of its own and retries if other transactions contend for its products.
    async fn commit_chunk(&self, id: Uuid, chunk: Chunk, failed: u64) -> Result<(Applied, u64), Error> {
        let mut backoff =
            ExponentialBuilder::default().with_min_delay(Duration::from_millis(20)).with_jitter().with_max_times(MAX_ATTEMPTS - 1).build();
        loop {
            let attempt = async {
                let mut work = self.begin().await?;
                let mut applied = apply::apply_chunk(&mut work, &self.catalogue.rules(), id, &chunk.rows).await?;
                applied.rejected.extend(chunk.rejected.iter().cloned());
                let rejected_rows: u64 = applied.rejected.iter().map(|row| row.count).sum();
                progress::record_progress(&mut work, id, applied.counts, failed, rejected_rows).await?;
                let quantity_changes = applied.stock_counts.apply(&mut work).await?;
                work.commit().await?;
                Ok((applied, quantity_changes))
            };
            match (attempt.await, backoff.next()) {
                (Err(Error::Contended), Some(delay)) => tokio::time::sleep(delay).await,
                (result, _) => return result,
            }
        }
    }
}

/// Sum of all chunks.
#[derive(Default)]
struct Totals {
    result: ImportResult,
    counts: Counts,
}

impl Totals {
    /// Adds a chunk.
    fn add(&mut self, applied: Applied) {
        let Counts { created, updated, unchanged } = applied.counts;
        self.counts.created += created;
        self.counts.updated += updated;
        self.counts.unchanged += unchanged;
        self.result.created += created;
        self.result.updated += updated;
        self.result.unchanged += unchanged;
        self.result.add_rejected(applied.rejected);
    }

    /// Moves products that only have a new quantity from `unchanged` to `updated`. The mailed summary counts them as unchanged, because
    /// changes of stock are not mailed.
    fn count_quantity_changes(&mut self, count: u64) {
        self.result.updated += count;
        self.result.unchanged -= count;
    }
}
