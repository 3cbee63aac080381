//! A limit on what one row may take, whatever its parser buffers.

use std::{
    cell::Cell,
    io::{self, Read},
    rc::Rc,
};

/// Bytes read since the row began.
#[derive(Clone, Default)]
pub struct RowBytes(Rc<Cell<usize>>);

impl RowBytes {
    /// A new row begins.
    pub fn reset(&self) {
        self.0.set(0);
    }

    /// Whether the row went over `limit`.
    pub fn exceed(&self, limit: usize) -> bool {
        self.0.get() > limit
    }
}

/// Reads until a row goes over its limit, then fails.
pub struct Limited<R> {
    source: R,
    limit: usize,
    row: RowBytes,
}

impl<R: Read> Limited<R> {
    /// `row` counts; its owner resets it.
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
