//! Rows out of a body of any size: one at a time, each at most [`MAX_ROW`] bytes.
//!
//! The readers are synchronous, because the parsers are; they run on a thread of their own.

mod cells;
mod columns;
pub mod csv;
mod decode;
pub mod json;
mod limit;
pub mod ndjson;

pub use cells::{pointer, quantity, quantity_rule};
pub use columns::{Column, clip, names};
pub use decode::{Charset, Decoded, EncodingError};

use std::{
    io::{self, Read},
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
    /// A JSON object a line.
    Ndjson,
    /// RFC 4180 with a header line.
    Csv(Charset),
}

/// A row of a body.
#[derive(Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum Row {
    /// A row that can be read.
    Document(RowDocument),
    /// A row that cannot be read; the next one can.
    Unreadable(Vec<Fault>),
    /// An empty line, or a row of CSV without anything in its cells: it has a number like the others, and is skipped.
    Blank,
}

impl From<Result<RowDocument, Vec<Fault>>> for Row {
    fn from(read: Result<RowDocument, Vec<Fault>>) -> Self {
        read.map_or_else(Self::Unreadable, Self::Document)
    }
}

/// Takes a row and its number, from 1.
pub type EachRow<'a> = &'a mut dyn FnMut(u64, Row) -> ControlFlow<()>;

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
    /// The quotes of CSV are wrong.
    #[error("{}, {source}", place(*row))]
    Quotes {
        /// Number of the row, from 1; 0 for the header.
        row: u64,
        /// Where and how.
        source: csv::QuoteError,
    },
    /// The body is not in the encoding that it is said to have.
    #[error(transparent)]
    Encoding(EncodingError),
    /// The body is JSON of another shape.
    #[error("{}: {}", .0.pointer, .0.detail)]
    Shape(Fault),
    /// The columns aren't those of products. Each complaint names one.
    #[error("{}", .0.join("; "))]
    Columns(Vec<String>),
    /// The row is longer than [`MAX_ROW`].
    #[error("{} is longer than {MAX_ROW} bytes{}", place(*row), in_quotes(*opened))]
    TooLarge {
        /// Number of the row, from 1; 0 for the header of CSV.
        row: u64,
        /// Line of the quote that was open where reading stopped, from 1.
        opened: Option<u64>,
    },
    /// The body could not be read to its end.
    #[error("the rows could not be read to their end: {0}")]
    Interrupted(io::Error),
    /// The receiver wants no more rows.
    #[error("stopped")]
    Stopped,
}

fn place(row: u64) -> String {
    if row == 0 { "the header".into() } else { format!("row {row}") }
}

fn in_quotes(opened: Option<u64>) -> String {
    opened.map_or_else(String::new, |line| format!("; the quote that opens a cell in line {line} may lack its closing quote"))
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<EncodingError>()) {
            Some(encoding) => Self::Encoding(encoding.clone()),
            None => Self::Interrupted(error),
        }
    }
}

/// Reads every row of `source` and hands it to `each` with its number. Rows that cannot be read are handed on as such,
/// where the next row can still be found.
///
/// # Errors
/// See [`ReadError`].
pub fn read<R: Read>(format: Format, source: R, each: EachRow<'_>) -> Result<(), ReadError> {
    let charset = if let Format::Csv(charset) = format { charset } else { Charset::BY_MARK };
    let source = Decoded::new(source, charset);
    match format {
        Format::Json => json::read_items(source, json::Shape::Items, &mut |row, text| each(row, parse(text).into())),
        Format::Ndjson => {
            ndjson::read_lines(source, &mut |row, line| each(row, if line.is_empty() { Row::Blank } else { parse(line).into() }))
        }
        Format::Csv(_) => cells::read_rows(source, each),
    }
}

fn parse(text: &str) -> Result<RowDocument, Vec<Fault>> {
    RowDocument::parse(text)
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
