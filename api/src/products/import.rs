//! Bulk import: upsert by sku, of any size in constant memory.
//!
//! Rows are read and checked one by one and staged in the database ([`intake`], [`rows`], [`row`],
//! [`staging`]). Once all are there, they are read back by sku, those of one sku merged ([`merge`]),
//! and applied in chunks ([`apply`]), each in a transaction with its events and its share of the
//! summary ([`progress`]). Or all in one transaction, if all or nothing is asked for.

mod apply;
mod error;
mod intake;
mod merge;
mod normalize;
mod permits;
mod progress;
mod report;
mod row;
pub mod rows;
mod staging;
mod upsert;

use std::time::Duration;

use apply::{Applied, Stocktaking};
use backon::{BackoffBuilder, ExponentialBuilder};
use chrono::{DateTime, Utc};
use futures::{TryStreamExt, stream::FuturesUnordered};
use sqlx::PgConnection;
use tokio::{io::AsyncRead, sync::SemaphorePermit};
use uuid::Uuid;

pub use error::Error;
use intake::Intake;
use merge::{Chunk, MergedRows};
use permits::AdminPermit;
pub use permits::Permits;
use progress::Counts;
pub use progress::finish_abandoned;
pub use report::{Fault, ImportResult, RowError};
pub use row::RowDocument;
pub use rows::{Charset, Format};
use staging::Staging;
pub use staging::purge_leftovers;

use super::Catalogue;
use crate::events::Origin;

/// Transactions of one import at once: one can be computed while another is written.
const LANES: usize = 2;

/// Changed products remembered one by one until the commit; beyond, the cache is cleared.
const MAX_TOUCHED: usize = 20_000;

/// Times a chunk is tried that others are in the way of.
const TRIES: usize = 5;

/// An import that an admin requests.
pub struct Import<'a> {
    /// Into which catalogue.
    pub catalogue: &'a Catalogue,
    /// The limits of all imports of this process.
    pub permits: &'a Permits,
    /// The admin and the request.
    pub origin: &'a Origin,
    /// An import can take long: each transaction asks for its own time.
    pub clock: fn() -> DateTime<Utc>,
}

/// An import whose rows are staged.
pub struct Staged<'a> {
    id: Uuid,
    intake: Intake,
    staging: Staging,
    _applying: SemaphorePermit<'a>,
    _admin: AdminPermit<'a>,
}

/// Imports the rows of `source`, in transactions of some hundred products. Rows that cannot be
/// imported are named in the result; the others are imported. `is_authorized` is awaited once, after
/// the last row was read and before the first write.
///
/// # Errors
/// If nothing could be read, or the database fails; then what was committed stays, and importing
/// the same rows again completes it.
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
        never = progress::keep_alive(pool, id, import.clock) => match never {},
    };
    // Also of an import that failed: its first chunks are there.
    let finished = progress::finish(pool, &import.catalogue.outbox, id, (import.clock)()).await;
    let result = applied?;
    finished?;
    staged.staging.clear().await?;
    Ok(result)
}

impl Staged<'_> {
    /// SHA-256 of the bytes the rows were read from.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        self.intake.hash
    }

    /// # Errors
    /// [`Error::Rejected`] if any row was.
    fn require_all(&mut self) -> Result<(), Error> {
        if self.intake.result.failed == 0 { Ok(()) } else { Err(Error::Rejected(std::mem::take(&mut self.intake.result))) }
    }

    /// # Errors
    /// [`Error::RowsLost`] unless every staged row was read back: a crash of the database empties the stage.
    fn require_read(&self, rows: &MergedRows) -> Result<(), Error> {
        if rows.read() == self.intake.staged { Ok(()) } else { Err(Error::RowsLost) }
    }
}

impl<'a> Import<'a> {
    /// Stages the rows that can be imported, waits for the permit to write, and checks the session again: it may have
    /// ended since the request began, which can be hours ago.
    ///
    /// # Errors
    /// [`Error::TooManyOfAdmin`] and [`Error::Busy`] before anything is read, [`Error::SessionEnded`] after all was,
    /// and whatever ends reading.
    async fn stage<R>(
        &self,
        format: Format,
        source: R,
        is_authorized: impl Future<Output = Result<bool, sqlx::Error>>,
    ) -> Result<Staged<'a>, Error>
    where
        R: AsyncRead + Unpin + Send + 'static,
    {
        let admin = self.permits.of_admin(self.origin.actor.id)?;
        let id = Uuid::now_v7();
        let staging = Staging::new(self.catalogue.database.primary.clone(), id);
        let intake = {
            let _upload = self.permits.upload()?;
            intake::take_in(format, source, self.catalogue.rules(), &staging, self.permits).await?
        };
        let applying = self.permits.applying().await?;
        if !is_authorized.await? {
            return Err(Error::SessionEnded);
        }
        Ok(Staged { id, intake, staging, _applying: applying, _admin: admin })
    }

    /// Stages rows of which all or none are to be imported. `is_authorized` is awaited as in [`run`].
    ///
    /// # Errors
    /// [`Error::Rejected`] if any row is invalid, and whatever ends an import.
    pub async fn stage_whole<R>(
        &self,
        format: Format,
        source: R,
        is_authorized: impl Future<Output = Result<bool, sqlx::Error>>,
    ) -> Result<Staged<'a>, Error>
    where
        R: AsyncRead + Unpin + Send + 'static,
    {
        let mut staged = self.stage(format, source, is_authorized).await?;
        staged.require_all()?;
        Ok(staged)
    }

    /// Applies all staged rows in the caller's transaction, with the summary.
    ///
    /// # Errors
    /// [`Error::Rejected`] if any row is invalid, [`Error::Contended`] if it may be tried again.
    pub async fn apply_whole(&self, tx: &mut PgConnection, staged: &Staged<'_>) -> Result<(ImportResult, Touched), Error> {
        let mut total = Total::default();
        total.result.blank = staged.intake.result.blank;
        let mut rows = MergedRows::new(staged.id);
        let mut touched = Touched::default();
        let mut stocktaking = Stocktaking::default();
        let now = (self.clock)();
        let command = self.catalogue.command(self.origin, now);
        loop {
            let chunk = rows.chunk(tx, &command.rules).await?;
            if chunk.is_empty() {
                break;
            }
            total.result.refuse(chunk.refusals);
            total.result.warn(chunk.warnings);
            let mut applied = apply::chunk(tx, &command, staged.id, &chunk.rows).await?;
            stocktaking.add(std::mem::take(&mut applied.stocktaking));
            touched.add(total.add(applied));
        }
        staged.require_read(&rows)?;
        if total.result.failed > 0 {
            total.result.sort();
            return Err(Error::Rejected(total.result));
        }
        total.result.sort();
        touched.add(total.restocked(stocktaking.finish(tx, &command).await?));
        progress::tell(tx, &self.catalogue.outbox, staged.id, self.origin, total.counts, 0, now).await?;
        Ok((total.result, touched))
    }

    /// After the commit of [`Import::apply_whole`].
    ///
    /// # Errors
    /// If the database fails; nothing is lost by it.
    pub async fn committed(&self, staged: Staged<'_>, touched: Touched) -> Result<(), Error> {
        touched.forget(self.catalogue);
        Ok(staged.staging.clear().await?)
    }

    async fn apply(&self, staged: &mut Staged<'_>) -> Result<ImportResult, Error> {
        let pool = &self.catalogue.database.primary;
        let mut total = Total { result: std::mem::take(&mut staged.intake.result), ..Total::default() };
        let failed = total.result.failed;
        let mut rows = MergedRows::new(staged.id);
        let mut lanes = FuturesUnordered::new();
        let mut more = true;
        loop {
            while more && lanes.len() < LANES {
                let mut chunk = rows.chunk(&mut *pool.acquire().await?, &self.catalogue.rules()).await?;
                more = !chunk.is_empty();
                if more {
                    total.result.warn(std::mem::take(&mut chunk.warnings));
                    lanes.push(self.commit(staged.id, chunk, failed));
                }
            }
            let Some((applied, restocked)) = lanes.try_next().await? else { break };
            let mut touched = Touched::default();
            touched.add(total.add(applied));
            touched.add(total.restocked(restocked));
            touched.forget(self.catalogue);
        }
        staged.require_read(&rows)?;
        total.result.sort();
        Ok(total.result)
    }

    /// Applies one chunk in a transaction of its own, again if others were in the way.
    async fn commit(&self, id: Uuid, chunk: Chunk, failed: u64) -> Result<(Applied, Restocked), Error> {
        let mut pauses =
            ExponentialBuilder::default().with_min_delay(Duration::from_millis(20)).with_jitter().with_max_times(TRIES - 1).build();
        loop {
            let attempt = async {
                let now = (self.clock)();
                let mut tx = self.catalogue.database.primary.begin().await?;
                let command = self.catalogue.command(self.origin, now);
                let mut applied = apply::chunk(&mut tx, &command, id, &chunk.rows).await?;
                applied.refusals.extend(chunk.refusals.iter().cloned());
                let refused: u64 = applied.refusals.iter().map(|refusal| refusal.count).sum();
                progress::record(&mut tx, id, self.origin, applied.counts, failed, refused, now).await?;
                let restocked = applied.stocktaking.finish(&mut tx, &command).await?;
                tx.commit().await?;
                Ok((applied, restocked))
            };
            match (attempt.await, pauses.next()) {
                (Err(Error::Contended), Some(pause)) => tokio::time::sleep(pause).await,
                (done, _) => return done,
            }
        }
    }
}

/// Products with another quantity, each with its version.
type Restocked = Vec<(Uuid, i64)>;

/// What all chunks did together.
#[derive(Default)]
struct Total {
    result: ImportResult,
    counts: Counts,
}

impl Total {
    /// Adds a chunk, and gives what it touched.
    fn add(&mut self, applied: Applied) -> Vec<(Uuid, i64)> {
        let Counts { created, updated, unchanged } = applied.counts;
        self.counts.created += created;
        self.counts.updated += updated;
        self.counts.unchanged += unchanged;
        self.result.created += created;
        self.result.updated += updated;
        self.result.unchanged += unchanged;
        self.result.refuse(applied.refusals);
        applied.touched
    }

    /// Adds products that were added as unchanged and have another quantity now. Who imports wants to see that it went
    /// in; who is mailed about products doesn't.
    fn restocked(&mut self, restocked: Restocked) -> Restocked {
        let count = restocked.len() as u64;
        self.result.updated += count;
        self.result.unchanged -= count;
        restocked
    }
}

/// Products that changed, for the cache.
#[derive(Default)]
pub struct Touched {
    products: Vec<(Uuid, i64)>,
    too_many: bool,
}

impl Touched {
    fn add(&mut self, products: Vec<(Uuid, i64)>) {
        if self.products.len() + products.len() > MAX_TOUCHED {
            self.too_many = true;
        } else {
            self.products.extend(products);
        }
    }

    fn forget(self, catalogue: &Catalogue) {
        if self.too_many {
            catalogue.cache.clear();
        }
        for (id, version) in self.products {
            catalogue.cache.forget(id, version);
        }
        catalogue.outbox.wake();
    }
}
