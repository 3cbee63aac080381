//! Standard output of the tools.

use std::io::{self, Write};

/// Prints a text and the end of its line. A reader that has closed the pipe, as `head` does, has seen
/// enough: that is no failure.
///
/// # Errors
/// If it cannot be written, as on a full disk.
pub fn print_line(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    match writeln!(output, "{text}").and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}
