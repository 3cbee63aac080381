//! Standard output of commands.

use std::io::{self, Write};

/// Prints a text and a line break. A closed pipe, as of `head`, is not an error.
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
