//! Parsing, validating and staging a request body. A blocking thread parses, at most a few batches ahead of the
//! database.

use std::{
    io::{self, Read},
    ops::ControlFlow,
};

use catalog_rows::ReadError;
use catalog_values::text::Text;
use sha2::{Digest, Sha256};
use tokio::{io::AsyncRead, sync::mpsc, task};
use tokio_util::io::SyncIoBridge;
use tracing::Span;

use super::{
    Error, ImportResult, Permits,
    report::RejectedRow,
    rows::{self, Format, Row},
    staging::{Batch, Staging},
};
use crate::products::rules::Rules;

/// Batches in the channel, in addition to the one being staged and the one being parsed.
const CHANNEL_CAPACITY: usize = 2;
/// Maximum number of rejected rows per batch.
const MAX_REJECTED: usize = 1000;

/// Result of parsing and staging a body.
pub struct ParsedRows {
    /// Number of staged rows.
    pub staged: u64,
    /// Rejected rows and counts.
    pub result: ImportResult,
    /// SHA-256 of the body.
    pub hash: [u8; 32],
}

/// Rows of one part of the body.
#[derive(Default)]
struct ParsedBatch {
    batch: Batch,
    rejected: Vec<RejectedRow>,
    /// Number of blank rows.
    blank: u64,
}

/// Stages all valid rows of `source`.
///
/// # Errors
/// Errors of the source that end the import, and database errors.
pub async fn parse_and_stage<R>(format: Format, source: R, rules: Rules, staging: &Staging, permits: &Permits) -> Result<ParsedRows, Error>
where
    R: AsyncRead + Unpin + Send + 'static,
{
    let (sender, mut receiver) = mpsc::channel(CHANNEL_CAPACITY);
    let mut source = Hashing { source: SyncIoBridge::new(source), hash: Sha256::new() };
    let request = Span::current();
    let reading = task::spawn_blocking(move || {
        let _entered = request.entered();
        let outcome = read(format, &mut source, &rules, &sender);
        (outcome, source)
    });
    let mut parsed_rows = ParsedRows { staged: 0, result: ImportResult::default(), hash: [0; 32] };
    while let Some(ParsedBatch { batch, rejected, blank }) = receiver.recv().await {
        if batch.len() > 0 {
            let _permit = permits.acquire_staging().await?;
            staging.add(&batch).await?;
        }
        parsed_rows.staged += batch.len() as u64;
        parsed_rows.result.blank += blank;
        parsed_rows.result.add_rejected(rejected);
    }
    let (outcome, source) = reading.await?;
    outcome?;
    parsed_rows.hash = source.hash.finalize().into();
    Ok(parsed_rows)
}

fn read<R: Read>(format: Format, source: &mut R, rules: &Rules, sender: &mpsc::Sender<ParsedBatch>) -> Result<(), Error> {
    let mut parsed = ParsedBatch::default();
    let mut failure = None;
    let outcome = rows::read(format, source, &mut |number, row| {
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
            Err(faults) => parsed.rejected.push(RejectedRow::new(number, faults)),
        }
        if parsed.batch.is_full() || parsed.rejected.len() >= MAX_REJECTED {
            return send(sender, std::mem::take(&mut parsed));
        }
        ControlFlow::Continue(())
    });
    if let Some(error) = failure {
        return Err(error.into());
    }
    outcome?;
    if send(sender, parsed).is_break() { Err(ReadError::Stopped.into()) } else { Ok(()) }
}

fn send(sender: &mpsc::Sender<ParsedBatch>, parsed: ParsedBatch) -> ControlFlow<()> {
    if sender.blocking_send(parsed).is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

/// A reader that hashes the bytes it reads.
struct Hashing<R> {
    source: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(buffer)?;
        self.hash.update(&buffer[..length]);
        Ok(length)
    }
}
