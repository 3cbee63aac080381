//! Making metrics without labels.

use prometheus::{IntCounter, IntGauge, register_int_counter, register_int_gauge};

/// A counter, registered. Its name is a constant of one place.
#[allow(clippy::expect_used, reason = "registered once, with a constant name")]
pub fn counter(name: &str, help: &str) -> IntCounter {
    register_int_counter!(name, help).expect("a metric of this name is registered once")
}

/// A gauge, registered. Its name is a constant of one place.
#[allow(clippy::expect_used, reason = "registered once, with a constant name")]
pub fn gauge(name: &str, help: &str) -> IntGauge {
    register_int_gauge!(name, help).expect("a metric of this name is registered once")
}
