//! Reading the rows of an import file, which may have any size, one at a time. A row has at most [`MAX_ROW`] bytes.
//!
//! The service reads the body of an import, and `catalogctl import` a file that it converts first, so that both find the same rows
//! with the same numbers. The readers are synchronous because their parsers are.

mod byte_counter;
mod cells;
mod columns;
pub mod csv;
mod decode;
mod fault;
mod header;
pub mod json;
pub mod ndjson;

use std::io;

use thiserror::Error;

pub use cells::{quantity, quantity_error};
pub use columns::{Column, clip, pointer};
pub use decode::{Charset, Decoded, EncodingError};
pub use fault::Fault;
pub use header::names;

/// Maximum length of a row, in bytes.
pub const MAX_ROW: usize = 1024 * 1024;

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

#[cfg(test)]
mod reference;
