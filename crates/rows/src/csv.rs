//! A strict reader of CSV by the grammar of RFC 4180, section 2. The csv crate has no strict mode: with it, a stray quote would
//! merge two rows.
//!
//! Extensions to the RFC: a lone LF or CR also ends a line, the delimiter is a parameter, and text is UTF-8.

use std::{
    io::{self, BufRead},
    iter,
};

use thiserror::Error;

use crate::{MAX_ROW, ReadError, columns::MAX_COLUMNS};

/// A violation of the quoting rules of RFC 4180. The end of the row is then ambiguous, so reading ends.
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

/// State of the parser.
#[derive(Clone, Copy)]
enum ParserState {
    /// At the start of a cell.
    Start,
    /// In an unquoted cell.
    Plain,
    /// In a quoted cell that opened on this line.
    Quoted { opened: u64 },
    /// After a quote in a quoted cell, which closes the cell or is the first half of a doubled quote.
    QuoteInQuoted { opened: u64 },
}

/// Reads one record at a time. Lines are numbered from 1 and records from 0, so that the rows after the header are numbered from 1.
pub struct CsvReader<R> {
    source: R,
    delimiter: u8,
    line: u64,
    after_return: bool,
    row: u64,
    text: Vec<u8>,
    cells: Cells,
}

/// End positions of the cells of a record. Those beyond [`MAX_COLUMNS`] are only counted.
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

/// A record. It has at least one cell.
#[derive(Clone, Copy)]
pub struct CsvRecord<'a> {
    /// Number of records before it.
    pub row: u64,
    text: &'a str,
    cells: &'a Cells,
}

impl<'a> CsvRecord<'a> {
    /// Number of cells.
    #[must_use]
    pub fn cell_count(self) -> usize {
        self.cells.count
    }

    /// The first [`MAX_COLUMNS`] cells, unquoted.
    pub fn cells(self) -> impl Iterator<Item = &'a str> {
        let ends = &self.cells.ends;
        let starts = iter::once(0).chain(ends.iter().copied());
        starts.zip(ends).map(move |(start, end)| &self.text[start..*end])
    }

    /// Whether all cells are empty or white space.
    #[must_use]
    pub fn is_blank(self) -> bool {
        self.text.trim().is_empty()
    }
}

impl<R: BufRead> CsvReader<R> {
    /// Reads `source`, which must be UTF-8. `delimiter` must be ASCII.
    pub fn new(source: R, delimiter: u8) -> Self {
        Self { source, delimiter, line: 1, after_return: false, row: 0, text: Vec::new(), cells: Cells::default() }
    }

    /// Reads the first record that is not blank.
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

    /// Reads the next record.
    ///
    /// # Errors
    /// [`ReadError::Quotes`] at the first violation of the grammar, [`ReadError::TooLarge`], and errors of the source.
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
        // The source is UTF-8, and cells are delimited by ASCII characters.
        let text = std::str::from_utf8(&self.text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(CsvRecord { row, text, cells: &self.cells })
    }

    /// Reads the cells of a record and its line end. Returns `false` at the end of the source.
    fn read_cells(&mut self) -> Result<bool, CsvError> {
        let mut state = ParserState::Start;
        let mut length = 0;
        loop {
            let buffer = self.source.fill_buf()?;
            if buffer.is_empty() {
                if let ParserState::Quoted { opened } = state {
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
                state = match (state, byte) {
                    (ParserState::Start, b'"') => ParserState::Quoted { opened: self.line },
                    (ParserState::Plain, b'"') => return Err(QuoteError::Inside { line: self.line }.into()),
                    (ParserState::Quoted { opened }, b'"') => ParserState::QuoteInQuoted { opened },
                    (ParserState::QuoteInQuoted { opened }, b'"') => {
                        self.text.push(b'"');
                        ParserState::Quoted { opened }
                    }
                    (ParserState::Quoted { opened }, byte) => {
                        self.text.push(byte);
                        ParserState::Quoted { opened }
                    }
                    (_, byte) if byte == self.delimiter => {
                        self.cells.push(self.text.len());
                        ParserState::Start
                    }
                    (_, b'\r' | b'\n') => {
                        self.cells.push(self.text.len());
                        ended = true;
                        ParserState::Start
                    }
                    (ParserState::QuoteInQuoted { opened }, _) => return Err(QuoteError::TextAfter { line: self.line, opened }.into()),
                    (ParserState::Start | ParserState::Plain, byte) => {
                        self.text.push(byte);
                        ParserState::Plain
                    }
                };
                self.line += u64::from(byte == b'\r' || (byte == b'\n' && !second_half));
                if ended {
                    break;
                }
                length += 1;
                if length > MAX_ROW {
                    let opened = if let ParserState::Quoted { opened } = state { Some(opened) } else { None };
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

/// An error without the number of its record.
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
