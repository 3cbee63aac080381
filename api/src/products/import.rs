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
use tokio::{
    io::AsyncRead,
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};
use uuid::Uuid;

pub use error::Error;
use intake::Intake;
use merge::{Chunk, MergedRows};
use progress::Counts;
pub use progress::finish_abandoned;
pub use report::{Fault, ImportResult, RowError};
pub use row::RowDocument;
pub use rows::{Charset, Format};
use staging::Staging;
pub use staging::purge_leftovers;

use super::Catalogue;
use crate::events::Origin;

/// Imports that take in rows at once in one process; more wait, their bodies unread.
static TAKING_IN: Semaphore = Semaphore::const_new(8);
/// How long an import waits for others to take in their rows: slow uploads must not hang the next for ever.
const TURN_PATIENCE: Duration = Duration::from_secs(20);
/// Imports that write products at once in one process, so that they leave connections to others.
static APPLYING: Semaphore = Semaphore::const_new(2);
/// Transactions of one import at once: one can be computed while another is written.
const LANES: usize = 2;

/// Changed products remembered one by one until the commit; beyond, the cache is cleared.
const MAX_TOUCHED: usize = 20_000;

/// Times a chunk is tried that others are in the way of.
const TRIES: usize = 5;

/// An import that somebody asks for.
pub struct Import<'a> {
    /// Into which catalogue.
    pub catalogue: &'a Catalogue,
    /// Who asks.
    pub origin: &'a Origin,
    /// An import can take long: each transaction asks for its own time.
    pub clock: fn() -> DateTime<Utc>,
}

/// An import whose rows are staged.
pub struct Staged {
    id: Uuid,
    intake: Intake,
    staging: Staging,
    _turn: SemaphorePermit<'static>,
}

/// Imports the rows of `source`, in transactions of some hundred products. Rows that cannot be
/// imported are named in the result; the others are imported.
///
/// # Errors
/// If nothing could be read, or the database fails; then what was committed stays, and importing
/// the same rows again completes it.
pub async fn run<R>(import: &Import<'_>, format: Format, source: R) -> Result<ImportResult, Error>
where
    R: AsyncRead + Unpin + Send + 'static,
{
    let mut staged = import.stage(format, source).await?;
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

impl Staged {
    /// SHA-256 of the bytes the rows were read from.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        self.intake.hash
    }

    /// # Errors
    /// [`Error::Refused`] if any row was.
    fn require_all(&self) -> Result<(), Error> {
        if self.intake.result.failed == 0 { Ok(()) } else { Err(Error::Refused(self.intake.result.errors.clone())) }
    }

    /// # Errors
    /// [`Error::RowsLost`] unless every staged row was read back: a crash of the database empties the stage.
    fn require_read(&self, rows: &MergedRows) -> Result<(), Error> {
        if rows.read() == self.intake.staged { Ok(()) } else { Err(Error::RowsLost) }
    }
}

impl Import<'_> {
    /// Reads and checks the rows of `source`, stages them, and waits for the turn to apply them.
    ///
    /// # Errors
    /// If they cannot be read to the end, or the database fails.
    async fn stage<R>(&self, format: Format, source: R) -> Result<Staged, Error>
    where
        R: AsyncRead + Unpin + Send + 'static,
    {
        let id = Uuid::now_v7();
        let staging = Staging::new(self.catalogue.database.primary.clone(), id);
        let intake = {
            let _taking_in =
                timeout(TURN_PATIENCE, TAKING_IN.acquire()).await.map_err(|_| Error::Busy)?.map_err(|_| sqlx::Error::PoolClosed)?;
            intake::take_in(format, source, self.catalogue.rules(), &staging).await?
        };
        let turn = APPLYING.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
        Ok(Staged { id, intake, staging, _turn: turn })
    }

    /// Stages rows of which all or none are to be imported.
    ///
    /// # Errors
    /// [`Error::Refused`] if any row is, and whatever ends an import.
    pub async fn stage_whole<R>(&self, format: Format, source: R) -> Result<Staged, Error>
    where
        R: AsyncRead + Unpin + Send + 'static,
    {
        let staged = self.stage(format, source).await?;
        staged.require_all()?;
        Ok(staged)
    }

    /// Applies all staged rows in the caller's transaction, with the summary.
    ///
    /// # Errors
    /// [`Error::Refused`] if any row is, [`Error::Contended`] if it may be tried again.
    pub async fn apply_whole(&self, tx: &mut PgConnection, staged: &Staged) -> Result<(ImportResult, Touched), Error> {
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
            let mut applied = apply::chunk(tx, &command, staged.id, &chunk.rows).await?;
            stocktaking.add(std::mem::take(&mut applied.stocktaking));
            touched.add(total.add(applied));
        }
        staged.require_read(&rows)?;
        if total.result.failed > 0 {
            total.result.sort_errors();
            return Err(Error::Refused(total.result.errors));
        }
        touched.add(total.restocked(stocktaking.finish(tx, &command).await?));
        progress::tell(tx, &self.catalogue.outbox, staged.id, self.origin, total.counts, 0, now).await?;
        Ok((total.result, touched))
    }

    /// After the commit of [`Import::apply_whole`].
    ///
    /// # Errors
    /// If the database fails; nothing is lost by it.
    pub async fn committed(&self, staged: Staged, touched: Touched) -> Result<(), Error> {
        touched.forget(self.catalogue);
        Ok(staged.staging.clear().await?)
    }

    async fn apply(&self, staged: &mut Staged) -> Result<ImportResult, Error> {
        let pool = &self.catalogue.database.primary;
        let mut total = Total { result: std::mem::take(&mut staged.intake.result), ..Total::default() };
        let failed = total.result.failed;
        let mut rows = MergedRows::new(staged.id);
        let mut lanes = FuturesUnordered::new();
        let mut more = true;
        loop {
            while more && lanes.len() < LANES {
                let chunk = rows.chunk(&mut *pool.acquire().await?, &self.catalogue.rules()).await?;
                more = !chunk.is_empty();
                if more {
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
        total.result.sort_errors();
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
