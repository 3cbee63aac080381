//! The output of `catalogctl dev` and its children: one line per event, prefixed with the name of the process.

use std::io::{self, IsTerminal, Write};

use super::name::Name;

/// Standard error of the terminal, shared by `catalogctl dev` and all its children.
#[derive(Clone, Copy)]
pub struct Console {
    colour: bool,
}

impl Console {
    /// Creates a console that colours the names on a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
    pub fn new() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colour: io::stderr().is_terminal() && !unwanted }
    }

    /// Prints a line of `catalogctl dev` itself.
    pub fn log(self, text: impl AsRef<str>) {
        self.log_line(Name::Dev, text.as_ref());
    }

    /// Prints a text to standard output.
    pub fn print(text: &str) {
        let _ = io::stdout().lock().write_all(text.as_bytes());
    }

    /// Prints a line of a child.
    pub fn log_line(self, name: Name, text: &str) {
        let padded = format!("{:<9}", name.as_str());
        let line = if self.colour { format!("\x1b[{}m{padded}\x1b[0m | {text}\n", colour(name)) } else { format!("{padded} | {text}\n") };
        // One write, so that lines of several children don't mix. Errors are ignored: a closed terminal must not stop the shop.
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }
}

/// SGR foreground colours (ECMA-48, 8.3.117; 94 is the bright blue of aixterm, which terminals share).
fn colour(name: Name) -> &'static str {
    match name {
        Name::Dev => "1",
        Name::Postgres => "34",
        Name::Nats => "35",
        Name::Migrate => "37",
        Name::Inbox => "36",
        Name::Serve => "32",
        Name::Notifier => "33",
        Name::Tracker => "31",
        Name::Fulfiller => "94",
    }
}
