//! Logs and metrics.

use catalog_logging::LogFormat;
use prometheus::{Encoder, TextEncoder};
use tracing::{Span, field::display};
use uuid::Uuid;

/// What is logged without `RUST_LOG`.
const DEFAULT_FILTER: &str = "info,async_nats=warn,sqlx=warn";

/// Starts logging to standard error; `RUST_LOG` says what.
///
/// # Errors
/// If `RUST_LOG` is invalid.
pub fn start_logging(format: Option<LogFormat>) -> anyhow::Result<()> {
    let filter = std::env::var("RUST_LOG").unwrap_or_default();
    catalog_logging::start(format, if filter.is_empty() { DEFAULT_FILTER } else { &filter })
}

/// Adds an account to the log lines of the current request: the one that is signed in, or that a client tries to sign in to.
pub fn record_account(account_id: Uuid) {
    Span::current().record("account_id", display(account_id));
}

/// Adds the event that the current request or order has written to its log lines.
pub fn record_event(event_id: Uuid) {
    Span::current().record("event_id", display(event_id));
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
