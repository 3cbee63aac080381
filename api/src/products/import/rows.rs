//! Rows out of a body of any size: one at a time, each at most [`MAX_ROW`] bytes.
//!
//! The readers are synchronous, because the parsers are; they run on a thread of their own.

mod csv;
pub mod json;
mod limit;
pub mod ndjson;
pub mod quotes;

pub use csv::Column;

use std::{
    io::{self, BufRead, BufReader, Read},
    ops::ControlFlow,
};

use thiserror::Error;

use super::{report::Fault, row::RowDocument};

/// Longest row, in bytes.
pub const MAX_ROW: usize = 1024 * 1024;

/// How the rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `{"items": [...]}`.
    Json,
    /// A JSON object a line; blank lines are skipped and not counted.
    Ndjson,
    /// RFC 4180 with a header line.
    Csv,
}

/// Why reading ended before the end of the body. None of its rows has been taken by then.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The body stops being JSON in or before this row.
    #[error("row {row}: not valid JSON: {source}")]
    Malformed {
        /// Number of the row, from 1.
        row: u64,
        /// Where and how.
        source: serde_json::Error,
    },
    /// A quote of CSV never closes: which rows were meant cannot be told.
    #[error("row {row}: the quote that opens a cell in line {line} isn't closed")]
    OpenQuote {
        /// Number of the row, from 1.
        row: u64,
        /// Line of the quote, from 1, the header's included.
        line: u64,
    },
    /// The body is JSON of another shape.
    #[error("{}: {}", .0.pointer, .0.detail)]
    Shape(Fault),
    /// The columns aren't those of products. Each complaint names one.
    #[error("{}", .0.join("; "))]
    Columns(Vec<String>),
    /// The row is longer than [`MAX_ROW`].
    #[error("row {row} is longer than {MAX_ROW} bytes")]
    TooLarge {
        /// Number of the row, from 1.
        row: u64,
    },
    /// The body could not be read to its end.
    #[error("the rows could not be read to their end: {0}")]
    Interrupted(#[from] io::Error),
    /// The receiver wants no more rows.
    #[error("stopped")]
    Stopped,
}

/// Reads every row of `source` and hands it to `each` with its number, from 1. Rows that cannot be
/// read are handed on as such, where the next row can still be found.
///
/// # Errors
/// See [`ReadError`].
pub fn read<R: Read>(
    format: Format,
    source: R,
    each: &mut dyn FnMut(u64, Result<RowDocument, Vec<Fault>>) -> ControlFlow<()>,
) -> Result<(), ReadError> {
    let source = without_byte_order_mark(BufReader::with_capacity(64 * 1024, source))?;
    match format {
        Format::Json => json::read_items(source, json::Shape::Items, &mut |row, text| each(row, parse(text))),
        Format::Ndjson => ndjson::read_lines(source, &mut |row, line| each(row, line.and_then(parse))),
        Format::Csv => csv::read(source, each),
    }
}

fn parse(text: &str) -> Result<RowDocument, Vec<Fault>> {
    RowDocument::parse(text).map_err(|fault| vec![fault])
}

/// Skips the mark some programs put before UTF-8.
///
/// # Errors
/// If the source cannot be read.
pub fn without_byte_order_mark<R: BufRead>(mut source: R) -> io::Result<impl BufRead> {
    let mut start = Vec::with_capacity(3);
    source.by_ref().take(3).read_to_end(&mut start)?;
    if start == b"\xef\xbb\xbf" {
        start.clear();
    }
    Ok(io::Cursor::new(start).chain(source))
}

#[cfg(test)]
mod tests;
