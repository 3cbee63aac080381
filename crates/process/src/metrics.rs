//! Metrics of this process.

use prometheus::{Encoder, IntCounter, IntGauge, TextEncoder, register_int_counter, register_int_gauge};

/// Registers a counter without labels, whose name must be unique.
///
/// # Panics
/// If the name is registered.
#[must_use]
#[allow(clippy::expect_used, reason = "registered once, with a constant name")]
pub fn register_counter(name: &str, help: &str) -> IntCounter {
    register_int_counter!(name, help).expect("a metric of this name is registered once")
}

/// Registers a gauge without labels, whose name must be unique.
///
/// # Panics
/// If the name is registered.
#[must_use]
#[allow(clippy::expect_used, reason = "registered once, with a constant name")]
pub fn register_gauge(name: &str, help: &str) -> IntGauge {
    register_int_gauge!(name, help).expect("a metric of this name is registered once")
}

/// Encodes all metrics of this process in the text format of Prometheus.
///
/// # Errors
/// If a collector cannot be encoded.
pub(crate) fn encode() -> Result<String, prometheus::Error> {
    let mut buffer = Vec::new();
    TextEncoder::new().encode(&prometheus::gather(), &mut buffer)?;
    String::from_utf8(buffer).map_err(|error| prometheus::Error::Msg(error.to_string()))
}
