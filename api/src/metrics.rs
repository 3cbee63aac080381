//! Registers metrics without labels.

use prometheus::{IntCounter, IntGauge, register_int_counter, register_int_gauge};

/// Registers a counter, whose name must be unique.
#[allow(clippy::expect_used, reason = "registered once, with a constant name")]
pub fn register_counter(name: &str, help: &str) -> IntCounter {
    register_int_counter!(name, help).expect("a metric of this name is registered once")
}

/// Registers a gauge, whose name must be unique.
#[allow(clippy::expect_used, reason = "registered once, with a constant name")]
pub fn register_gauge(name: &str, help: &str) -> IntGauge {
    register_int_gauge!(name, help).expect("a metric of this name is registered once")
}
