//! Newline-delimited JSON.

use std::{
    io::{BufRead, Read},
    ops::ControlFlow,
};

use super::{MAX_ROW, ReadError};
use crate::products::import::report::Fault;

/// Takes a line's number and text, or what is wrong with it.
type EachLine<'a> = &'a mut dyn FnMut(u64, Result<&str, Vec<Fault>>) -> ControlFlow<()>;

/// Hands every line that isn't blank to `each`, numbered from 1.
///
/// # Errors
/// See [`ReadError`].
pub fn read_lines<R: BufRead>(mut source: R, each: EachLine) -> Result<(), ReadError> {
    let mut line = Vec::new();
    let mut row = 0;
    loop {
        line.clear();
        let most = MAX_ROW as u64 + 2;
        if source.by_ref().take(most).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let cut = line.len() as u64 == most && !line.ends_with(b"\n");
        let content = line.trim_ascii();
        if content.is_empty() && !cut {
            continue;
        }
        row += 1;
        if content.len() > MAX_ROW || cut {
            return Err(ReadError::TooLarge { row });
        }
        let text = std::str::from_utf8(content).map_err(|_| vec![Fault::of_row("not valid UTF-8")]);
        if each(row, text).is_break() {
            return Err(ReadError::Stopped);
        }
    }
}
