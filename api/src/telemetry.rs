//! Logs and metrics.

use std::io::IsTerminal;

use prometheus::{Encoder, TextEncoder};
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::LogFormat;

/// Sends logs to standard error, so that tools can print results on standard output.
/// The level comes from `RUST_LOG`, `info` without it.
pub fn start_logging(format: Option<LogFormat>) {
    let terminal = std::io::stderr().is_terminal();
    let format = format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json });
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,async_nats=warn,sqlx=warn"));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Json => registry.with(lines.json().flatten_event(true).with_current_span(false)).init(),
        LogFormat::Text => registry.with(lines.with_ansi(terminal).with_target(false)).init(),
    }
}

/// Every metric of this process in Prometheus' text format.
///
/// # Errors
/// If a collector cannot be encoded.
pub fn gather() -> Result<String, prometheus::Error> {
    let mut buffer = Vec::new();
    TextEncoder::new().encode(&prometheus::gather(), &mut buffer)?;
    String::from_utf8(buffer).map_err(|error| prometheus::Error::Msg(error.to_string()))
}
