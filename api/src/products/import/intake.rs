//! From a stream of bytes to staged rows: parsed and checked on a thread of their own, a bounded
//! number of rows ahead of the database.

use std::{
    io::{self, Read},
    ops::ControlFlow,
};

use sha2::{Digest, Sha256};
use tokio::{io::AsyncRead, sync::mpsc, task};
use tokio_util::io::SyncIoBridge;
use tracing::Span;

use super::{
    Error, ImportResult, Permits,
    report::Refusal,
    rows::{self, Format, ReadError, Row},
    staging::{Batch, Staging},
};
use crate::{products::rules::Rules, text::Text};

/// Batches on their way to the database, beside the one being staged and the one being read.
const AHEAD: usize = 2;
/// Rejected rows in a batch, at most.
const MAX_REFUSALS: usize = 1000;

/// What came in.
pub struct Intake {
    /// Rows staged.
    pub staged: u64,
    /// With the rows that were refused.
    pub result: ImportResult,
    /// SHA-256 of the bytes.
    pub hash: [u8; 32],
}

/// Rows of one stretch of the body.
#[derive(Default)]
struct Parsed {
    batch: Batch,
    refusals: Vec<Refusal>,
    /// Blank rows.
    blank: u64,
}

/// Stages every row of `source` that keeps the rules.
///
/// # Errors
/// If the source ends the import, or the database refuses.
pub async fn take_in<R>(format: Format, source: R, rules: Rules, staging: &Staging, permits: &Permits) -> Result<Intake, Error>
where
    R: AsyncRead + Unpin + Send + 'static,
{
    let (sender, mut receiver) = mpsc::channel(AHEAD);
    let mut source = Hashing { source: SyncIoBridge::new(source), hash: Sha256::new() };
    let request = Span::current();
    let reading = task::spawn_blocking(move || {
        let _entered = request.entered();
        let read = read(format, &mut source, &rules, &sender);
        (read, source)
    });
    let mut intake = Intake { staged: 0, result: ImportResult::default(), hash: [0; 32] };
    while let Some(Parsed { batch, refusals, blank }) = receiver.recv().await {
        if batch.len() > 0 {
            let _permit = permits.staging().await?;
            staging.add(&batch).await?;
        }
        intake.staged += batch.len() as u64;
        intake.result.blank += blank;
        intake.result.refuse(refusals);
    }
    let (read, source) = reading.await?;
    read?;
    intake.hash = source.hash.finalize().into();
    Ok(intake)
}

fn read<R: Read>(format: Format, source: &mut R, rules: &Rules, sender: &mpsc::Sender<Parsed>) -> Result<(), Error> {
    let mut parsed = Parsed::default();
    let mut failure = None;
    let read = rows::read(format, source, &mut |number, row| {
        let checked = match row {
            Row::Document(document) => document.into_nfc().check(rules),
            Row::Unreadable(faults) => Err(faults),
            Row::Blank => {
                parsed.blank += 1;
                return ControlFlow::Continue(());
            }
        };
        match checked {
            Ok(row) => {
                if let Err(error) = parsed.batch.push(number, row) {
                    failure = Some(error);
                    return ControlFlow::Break(());
                }
            }
            Err(faults) => parsed.refusals.push(Refusal::of_row(number, faults)),
        }
        if parsed.batch.is_full() || parsed.refusals.len() >= MAX_REFUSALS {
            return send(sender, std::mem::take(&mut parsed));
        }
        ControlFlow::Continue(())
    });
    if let Some(error) = failure {
        return Err(error.into());
    }
    read?;
    if send(sender, parsed).is_break() { Err(ReadError::Stopped.into()) } else { Ok(()) }
}

fn send(sender: &mpsc::Sender<Parsed>, parsed: Parsed) -> ControlFlow<()> {
    if sender.blocking_send(parsed).is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

/// Hashes what is read.
struct Hashing<R> {
    source: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}
