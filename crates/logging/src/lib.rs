//! Log lines of Catalog's programs. docs/logging.md lists their fields.

mod fields;
mod json;
pub mod panics;

use std::{error::Error, fmt, io::IsTerminal};

use anyhow::anyhow;
use clap::ValueEnum;
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

pub use json::JsonLayer;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line
    Json,
    /// For people
    Text,
}

/// Sends log lines and panics to standard error, so that tools can print results on standard output. Without a format, they are
/// text on a terminal and JSON elsewhere. `filter` is in the syntax of `RUST_LOG`.
///
/// # Errors
/// If `filter` is invalid.
pub fn start(format: Option<LogFormat>, filter: &str) -> anyhow::Result<()> {
    // For the whole registry: sqlx asks whether statements are logged, and a filter of one layer that says no to such a question
    // drops the thread's next event as well.
    // Spans that carry ids are made with `error_span!`. They pass also with `RUST_LOG=sqlx=debug`, so that a statement is logged
    // with the `request_id` it belongs to. Later directives replace earlier ones.
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

/// Shows an error with its causes. A cause that an error quotes in its own text is not repeated.
pub struct Chain<'a>(pub &'a (dyn Error + 'a));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.0.to_string();
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let more = error.to_string();
            if !text.contains(&more) {
                text = format!("{text}: {more}");
            }
            cause = error.source();
        }
        f.write_str(&text)
    }
}
