//! The rows of an import's body as documents. [`catalog_rows`] reads them; here they get the fields of a product.
//!
//! Parsing is synchronous and runs on a blocking thread.

mod cells;

use std::{io::Read, ops::ControlFlow};

use catalog_rows::{Charset, Decoded, Fault, ReadError, json, ndjson};

use super::row::RowDocument;

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
#[path = "../../../../crates/rows/src/reference.rs"]
mod reference;
#[cfg(test)]
mod tests;
