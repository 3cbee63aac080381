//! Making the metrics of carts and orders.

use std::sync::LazyLock;

use prometheus::{IntCounter, register_int_counter};

#[allow(clippy::expect_used, reason = "registered once, with a constant name")]
fn counter(name: &str, help: &str) -> IntCounter {
    register_int_counter!(name, help).expect("a metric of this name is registered once")
}

/// Orders placed.
pub(super) static PLACED: LazyLock<IntCounter> = LazyLock::new(|| counter("orders_placed_total", "Orders placed"));
/// Carts that expired.
pub(super) static EXPIRED: LazyLock<IntCounter> =
    LazyLock::new(|| counter("carts_expired_total", "Carts that expired and gave their stock back"));
