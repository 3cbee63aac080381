//! Reading rows one at a time from a body of any size. A row has at most [`MAX_ROW`] bytes.
//!
//! The readers are synchronous because their parsers are. They run on a blocking thread.

mod byte_counter;
mod cells;
mod columns;
pub mod csv;
mod decode;
mod header;
pub mod json;
pub mod ndjson;

pub use cells::{pointer, quantity, quantity_error};
pub use columns::{Column, clip};
pub use decode::{Charset, Decoded, EncodingError};
pub use header::names;

use std::{
    io::{self, Read},
    ops::ControlFlow,
};

use thiserror::Error;

use super::{report::Fault, row::RowDocument};

/// Maximum length of a row, in bytes.
pub const MAX_ROW: usize = 1024 * 1024;

/// Format of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `{"items": [...]}`.
    Json,
    /// One JSON object per line.
    Ndjson,
    /// RFC 4180 with a header line.
    Csv(Charset),
}

/// A row of the body.
#[derive(Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "only one exists at a time")]
pub enum Row {
    /// A readable row.
    Document(RowDocument),
    /// A row that cannot be read. Reading continues with the next.
    Unreadable(Vec<Fault>),
    /// An empty line, or a CSV row with empty cells only. It is numbered and skipped.
    Blank,
}

impl From<Result<RowDocument, Vec<Fault>>> for Row {
    fn from(read: Result<RowDocument, Vec<Fault>>) -> Self {
        read.map_or_else(Self::Unreadable, Self::Document)
    }
}

/// Handles a row and its number, from 1.
pub type RowHandler<'a> = &'a mut dyn FnMut(u64, Row) -> ControlFlow<()>;

/// Errors that end reading.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The body is not valid JSON in or before this row.
    #[error("row {row}: not valid JSON: {source}")]
    Malformed {
        /// Number of the row, from 1.
        row: u64,
        /// Error of the parser, with its position.
        source: serde_json::Error,
    },
    /// The quotes of CSV are invalid.
    #[error("{}, {source}", row_label(*row))]
    Quotes {
        /// Number of the row, from 1; 0 for the header.
        row: u64,
        /// Kind and line of the error.
        source: csv::QuoteError,
    },
    /// The body is not in the declared encoding.
    #[error(transparent)]
    Encoding(EncodingError),
    /// The JSON document does not have the expected shape.
    #[error("{}: {}", .0.pointer, .0.detail)]
    Shape(Fault),
    /// The CSV columns are invalid. Each message names one.
    #[error("{}", .0.join("; "))]
    Columns(Vec<String>),
    /// The row is longer than [`MAX_ROW`].
    #[error("{} is longer than {MAX_ROW} bytes{}", row_label(*row), in_quotes(*opened))]
    TooLarge {
        /// Number of the row, from 1; 0 for the header of CSV.
        row: u64,
        /// Line of the quote that was open at that point, from 1.
        opened: Option<u64>,
    },
    /// The source failed before the end of the body.
    #[error("the rows could not be read completely: {0}")]
    Interrupted(io::Error),
    /// The handler stopped reading.
    #[error("stopped")]
    Stopped,
}

fn row_label(row: u64) -> String {
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

/// Reads the rows of `source` and passes them to `each` with their numbers, unreadable rows included as long as the start of
/// the next row can be found.
///
/// # Errors
/// See [`ReadError`].
pub fn read<R: Read>(format: Format, source: R, each: RowHandler<'_>) -> Result<(), ReadError> {
    let charset = if let Format::Csv(charset) = format { charset } else { Charset::DETECT };
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
