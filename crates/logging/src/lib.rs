//! Logging of Catalog's programs. docs/logging.md lists the fields of log lines.

mod fields;
mod json;
pub mod panics;

use std::{error::Error, fmt, io::IsTerminal};

use anyhow::anyhow;
use clap::ValueEnum;
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

pub use json::JsonLayer;

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line
    Json,
    /// For people
    Text,
}

/// Starts to log events and panics to standard error. Standard output is for the results of tools. Without a format, log lines are text
/// if standard error is a terminal, and JSON otherwise. `filter` has the syntax of `RUST_LOG`.
///
/// # Errors
/// If `filter` is invalid.
pub fn start(format: Option<LogFormat>, filter: &str) -> anyhow::Result<()> {
    // A global filter, not a per-layer one: sqlx checks with `enabled!` whether statements are logged, and a per-layer filter that
    // disables such a check also drops the next event of the thread.
    // Spans with ids have the level `ERROR`, which `error,` enables. So they are enabled with `RUST_LOG=sqlx=debug`, too, and statements
    // are logged with their `request_id`. Later directives replace earlier ones.
    let filter = EnvFilter::try_new(format!("error,{filter}")).map_err(|error| anyhow!("RUST_LOG={filter} is invalid: {error}"))?;
    let terminal = std::io::stderr().is_terminal();
    let lines = match format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json }) {
        LogFormat::Json => JsonLayer::new(std::io::stderr).boxed(),
        LogFormat::Text => tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(terminal).with_target(false).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).init();
    panics::log_panics();
    Ok(())
}

/// Displays an error with its causes. A cause that is already contained in the text is left out.
pub struct Chain<'a>(pub &'a (dyn Error + 'a));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.0.to_string();
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let cause_text = error.to_string();
            if !text.contains(&cause_text) {
                text = format!("{text}: {cause_text}");
            }
            cause = error.source();
        }
        f.write_str(&text)
    }
}
