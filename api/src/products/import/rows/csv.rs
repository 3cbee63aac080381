//! Comma-separated values by the grammar of RFC 4180, section 2, and nothing that only resembles it: the csv crate has
//! no strict mode, and a stray quote would make one row part of another.
//!
//! Beyond the RFC, a line also ends with a lone LF or CR, the delimiter is a parameter, and text may be any UTF-8.

use std::{
    io::{self, BufRead},
    iter,
};

use thiserror::Error;

use super::{MAX_ROW, ReadError, columns::MAX_COLUMNS};

/// A place where the quotes of a text are not those of RFC 4180. Where the row ends cannot be told, so none is read
/// from there on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum QuoteError {
    /// Rule 5: quotes may not appear inside an unquoted cell.
    #[error(
        "in line {line}: a quote is inside a cell that does not start with one; enclose the whole cell in quotes and write a quote inside it as \"\""
    )]
    Inside {
        /// Line of the quote, from 1.
        line: u64,
    },
    /// Rules 5 to 7: only a delimiter, a line end or the end of the text may follow a closing quote.
    #[error(
        "in line {line}: text follows the closing quote of a cell that opens in line {opened}; write a quote inside a quoted cell as \"\""
    )]
    TextAfter {
        /// Line of the text, from 1.
        line: u64,
        /// Line of the quote that opens the cell, from 1.
        opened: u64,
    },
    /// Rule 5: a quoted cell has a closing quote.
    #[error("the quote that opens a cell in line {opened} isn't closed; write a quote inside a quoted cell as \"\"")]
    NotClosed {
        /// Line of the quote that opens the cell, from 1.
        opened: u64,
    },
}

/// Where a reader is in the grammar.
#[derive(Clone, Copy)]
enum Place {
    /// At the start of a cell.
    Start,
    /// In an unquoted cell.
    Plain,
    /// In a quoted cell that opened in this line.
    Quoted { opened: u64 },
    /// Behind a quote in a quoted cell: it closes the cell, or is the first half of a quote inside it.
    QuoteInQuoted { opened: u64 },
}

/// Reads one record at a time. Lines count from 1, and records from 0, so that the rows after the header count from 1.
pub struct CsvReader<R> {
    source: R,
    delimiter: u8,
    line: u64,
    after_return: bool,
    row: u64,
    text: Vec<u8>,
    cells: Cells,
}

/// Where the cells of a record end. Only so many ends are kept that a row can be told to have too many cells.
#[derive(Default)]
struct Cells {
    count: usize,
    ends: Vec<usize>,
}

impl Cells {
    fn clear(&mut self) {
        self.count = 0;
        self.ends.clear();
    }

    fn push(&mut self, end: usize) {
        self.count += 1;
        if self.count <= MAX_COLUMNS {
            self.ends.push(end);
        }
    }
}

/// One record: at least one cell.
#[derive(Clone, Copy)]
pub struct CsvRecord<'a> {
    /// How many records came before it.
    pub row: u64,
    text: &'a str,
    cells: &'a Cells,
}

impl<'a> CsvRecord<'a> {
    /// How many cells it has.
    #[must_use]
    pub fn cell_count(self) -> usize {
        self.cells.count
    }

    /// The first [`MAX_COLUMNS`] of its cells, without the quotes around and the doubled quotes inside them.
    pub fn cells(self) -> impl Iterator<Item = &'a str> {
        let ends = &self.cells.ends;
        let starts = iter::once(0).chain(ends.iter().copied());
        starts.zip(ends).map(move |(start, end)| &self.text[start..*end])
    }

    /// Whether its cells hold nothing but white space: an empty line, or a line of delimiters only.
    #[must_use]
    pub fn is_blank(self) -> bool {
        self.text.trim().is_empty()
    }
}

impl<R: BufRead> CsvReader<R> {
    /// Cells of `source`, which is UTF-8, are separated by `delimiter`, which is ASCII.
    pub fn new(source: R, delimiter: u8) -> Self {
        Self { source, delimiter, line: 1, after_return: false, row: 0, text: Vec::new(), cells: Cells::default() }
    }

    /// The first record that isn't blank.
    ///
    /// # Errors
    /// See [`CsvReader::read`].
    pub fn read_header(&mut self) -> Result<Option<CsvRecord<'_>>, ReadError> {
        loop {
            self.row = 0;
            match self.read()? {
                Some(record) if record.is_blank() => {}
                Some(_) => return Ok(Some(self.record(0)?)),
                None => return Ok(None),
            }
        }
    }

    /// The next record.
    ///
    /// # Errors
    /// [`ReadError::Quotes`] at the first violation of the grammar, [`ReadError::TooLarge`], or what the source fails with.
    pub fn read(&mut self) -> Result<Option<CsvRecord<'_>>, ReadError> {
        self.text.clear();
        self.cells.clear();
        let row = self.row;
        if !self.read_cells().map_err(|error| error.in_row(row))? {
            return Ok(None);
        }
        self.row += 1;
        self.record(row).map(Some)
    }

    fn record(&self, row: u64) -> Result<CsvRecord<'_>, ReadError> {
        // The source is UTF-8, and cells end beside ASCII.
        let text = std::str::from_utf8(&self.text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(CsvRecord { row, text, cells: &self.cells })
    }

    /// Reads the cells of a record with the line end behind them. `false` at the end of the source.
    fn read_cells(&mut self) -> Result<bool, CsvError> {
        let mut place = Place::Start;
        let mut length = 0;
        loop {
            let buffer = self.source.fill_buf()?;
            if buffer.is_empty() {
                if let Place::Quoted { opened } = place {
                    return Err(QuoteError::NotClosed { opened }.into());
                }
                let last = length > 0;
                if last {
                    self.cells.push(self.text.len());
                }
                return Ok(last);
            }
            let mut used = 0;
            let mut ended = false;
            for &byte in buffer {
                used += 1;
                let second_half = byte == b'\n' && self.after_return;
                self.after_return = byte == b'\r';
                if second_half && length == 0 {
                    continue;
                }
                place = match (place, byte) {
                    (Place::Start, b'"') => Place::Quoted { opened: self.line },
                    (Place::Plain, b'"') => return Err(QuoteError::Inside { line: self.line }.into()),
                    (Place::Quoted { opened }, b'"') => Place::QuoteInQuoted { opened },
                    (Place::QuoteInQuoted { opened }, b'"') => {
                        self.text.push(b'"');
                        Place::Quoted { opened }
                    }
                    (Place::Quoted { opened }, byte) => {
                        self.text.push(byte);
                        Place::Quoted { opened }
                    }
                    (_, byte) if byte == self.delimiter => {
                        self.cells.push(self.text.len());
                        Place::Start
                    }
                    (_, b'\r' | b'\n') => {
                        self.cells.push(self.text.len());
                        ended = true;
                        Place::Start
                    }
                    (Place::QuoteInQuoted { opened }, _) => return Err(QuoteError::TextAfter { line: self.line, opened }.into()),
                    (Place::Start | Place::Plain, byte) => {
                        self.text.push(byte);
                        Place::Plain
                    }
                };
                self.line += u64::from(byte == b'\r' || (byte == b'\n' && !second_half));
                if ended {
                    break;
                }
                length += 1;
                if length > MAX_ROW {
                    let opened = if let Place::Quoted { opened } = place { Some(opened) } else { None };
                    return Err(CsvError::TooLarge { opened });
                }
            }
            self.source.consume(used);
            if ended {
                return Ok(true);
            }
        }
    }
}

/// An error of a record whose number is not known yet.
#[derive(Debug, Error)]
enum CsvError {
    #[error(transparent)]
    Quotes(#[from] QuoteError),
    #[error("the record is too long")]
    TooLarge { opened: Option<u64> },
    #[error(transparent)]
    Source(#[from] io::Error),
}

impl CsvError {
    /// `row` is 0 for the header.
    fn in_row(self, row: u64) -> ReadError {
        match self {
            Self::Quotes(source) => ReadError::Quotes { row, source },
            Self::TooLarge { opened } => ReadError::TooLarge { row, opened },
            Self::Source(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests;
