//! Newline-delimited JSON.

use std::{
    io::{self, BufRead, Read},
    ops::ControlFlow,
};

use crate::{MAX_ROW, ReadError};

/// Passes every line to `each`, trimmed, with its number from 1.
///
/// # Errors
/// See [`ReadError`].
pub fn read_lines<R: BufRead>(mut source: R, each: &mut dyn FnMut(u64, &str) -> ControlFlow<()>) -> Result<(), ReadError> {
    let mut line = Vec::new();
    let mut row = 0;
    loop {
        line.clear();
        let most = MAX_ROW as u64 + 2;
        if source.by_ref().take(most).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        row += 1;
        let cut = line.len() as u64 == most && !line.ends_with(b"\n");
        let content = line.trim_ascii();
        if content.len() > MAX_ROW || cut {
            return Err(ReadError::TooLarge { row, opened: None });
        }
        // The source is UTF-8, and lines end with ASCII characters.
        let text = std::str::from_utf8(content).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if each(row, text).is_break() {
            return Err(ReadError::Stopped);
        }
    }
}
