//! Logs and metrics.

use catalog_logging::LogFormat;
use prometheus::{Encoder, TextEncoder};
use tracing::{Span, field::display};
use uuid::Uuid;

/// Log filter without `RUST_LOG`.
const DEFAULT_FILTER: &str = "info,async_nats=warn,sqlx=warn";

/// Starts logging to standard error, filtered by `RUST_LOG`.
///
/// # Errors
/// If `RUST_LOG` is invalid.
pub fn start_logging(format: Option<LogFormat>) -> anyhow::Result<()> {
    let filter = std::env::var("RUST_LOG").unwrap_or_default();
    catalog_logging::start(format, if filter.is_empty() { DEFAULT_FILTER } else { &filter })
}

/// Adds an account to the log lines of the current request: the authenticated one, or the one of a sign-in attempt.
pub fn record_account(account_id: Uuid) {
    Span::current().record("account_id", display(account_id));
}

/// Adds the id of the written event to the log lines of the current request or order.
pub fn record_event(event_id: Uuid) {
    Span::current().record("event_id", display(event_id));
}

/// Encodes all metrics of this process in the text format of Prometheus.
///
/// # Errors
/// If a collector cannot be encoded.
pub fn encode_metrics() -> Result<String, prometheus::Error> {
    let mut buffer = Vec::new();
    TextEncoder::new().encode(&prometheus::gather(), &mut buffer)?;
    String::from_utf8(buffer).map_err(|error| prometheus::Error::Msg(error.to_string()))
}
