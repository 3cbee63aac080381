//! Counts the bytes of one row, including what the parser buffers, and fails above a limit.

use std::{
    cell::Cell,
    io::{self, Read},
    rc::Rc,
};

/// Number of bytes read since the start of the row.
#[derive(Clone, Default)]
pub struct RowBytes(Rc<Cell<usize>>);

impl RowBytes {
    /// Starts a new row.
    pub fn reset(&self) {
        self.0.set(0);
    }

    /// Whether the row exceeds `limit`.
    pub fn exceed(&self, limit: usize) -> bool {
        self.0.get() > limit
    }
}

/// Fails when a row exceeds its limit.
pub struct Limited<R> {
    source: R,
    limit: usize,
    row: RowBytes,
}

impl<R: Read> Limited<R> {
    /// Counts in `row`, which the caller resets for each row.
    pub fn new(source: R, limit: usize, row: RowBytes) -> Self {
        Self { source, limit, row }
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.row.exceed(self.limit) {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        let read = self.source.read(buffer)?;
        self.row.0.set(self.row.0.get() + read);
        Ok(read)
    }
}
