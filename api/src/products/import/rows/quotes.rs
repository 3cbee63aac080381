//! Where a quote opened that never closes. The CSV reader takes everything up to the end of the file
//! for its cell, which is then wrong in ways that tell nothing of the cause.

use std::{
    cell::Cell,
    io::{self, Read},
    rc::Rc,
};

/// Place of a reader in the grammar of RFC 4180, section 2, as the CSV reader has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Where a quote opens a cell.
    Start,
    /// In a cell without quotes, or behind the closing one.
    Plain,
    /// Behind the quote that opened in this line.
    Quoted { since: u64 },
    /// Behind a quote in quotes, which closes them, or stands for itself if another one follows.
    MaybeClosed { since: u64 },
}

/// Tells of the quotes in what was read.
#[derive(Clone)]
pub struct OpenQuote(Rc<Cell<(Place, bool)>>);

impl OpenQuote {
    /// The line, from 1, of the quote that is open at the end of the source, once that is reached.
    pub fn at_end(&self) -> Option<u64> {
        match self.0.get() {
            (Place::Quoted { since }, true) => Some(since),
            _ => None,
        }
    }
}

/// Looks at quotes as they pass.
pub struct Quotes<R> {
    source: R,
    delimiter: u8,
    line: u64,
    /// Bytes of the byte order mark that were read, until something else is: it is no part of the first cell.
    mark: Option<usize>,
    place: OpenQuote,
}

/// UTF-8's byte order mark, which the CSV reader skips too.
const MARK: &[u8] = "\u{feff}".as_bytes();

impl<R: Read> Quotes<R> {
    /// Cells of `source` are separated by `delimiter`.
    pub fn new(source: R, delimiter: u8) -> (Self, OpenQuote) {
        let place = OpenQuote(Rc::new(Cell::new((Place::Start, false))));
        (Self { source, delimiter, line: 1, mark: Some(0), place: place.clone() }, place)
    }

    fn pass(&mut self, mut place: Place, bytes: &[u8]) -> Place {
        for byte in bytes {
            if let Some(read) = self.mark.take()
                && MARK.get(read) == Some(byte)
            {
                self.mark = Some(read + 1);
                continue;
            }
            place = match (place, byte) {
                (Place::Start, b'"') => Place::Quoted { since: self.line },
                (Place::Quoted { since }, b'"') => Place::MaybeClosed { since },
                (Place::MaybeClosed { since }, b'"') => Place::Quoted { since },
                (Place::Quoted { .. }, _) => place,
                (_, b'\n' | b'\r') => Place::Start,
                (_, byte) if *byte == self.delimiter => Place::Start,
                _ => Place::Plain,
            };
            self.line += u64::from(*byte == b'\n');
        }
        place
    }
}

impl<R: Read> Read for Quotes<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        let place = self.pass(self.place.0.get().0, &buffer[..read]);
        self.place.0.set((place, read == 0));
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(text: &str) -> Option<u64> {
        let (mut quotes, open) = Quotes::new(text.as_bytes(), b',');
        io::copy(&mut quotes, &mut io::sink()).unwrap();
        open.at_end()
    }

    #[test]
    fn only_a_quote_that_opens_a_cell_and_never_closes_is_open() {
        for (text, line) in [
            ("a,b\n1,\"2\n3,4\n", Some(2)),
            ("\"a", Some(1)),
            ("\u{feff}\"a,b\n", Some(1)),
            ("\u{feff}\"a\"\n", None),
            ("a\n\"two\nlines\",\"x", Some(3)),
            ("a,\"b\"\"", Some(1)),
            ("a,\"b\"", None),
            ("a,b\"c\n", None),
            ("a,\"b\"c\"\n", None),
            ("a,\"\"\"b\"\"\"\r\n\"\"", None),
            ("", None),
        ] {
            assert_eq!(open(text), line, "{text:?}");
        }
    }
}
