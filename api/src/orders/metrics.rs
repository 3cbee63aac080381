//! The metrics of carts and orders.

use std::sync::LazyLock;

use prometheus::IntCounter;

use crate::metrics::counter;

/// Orders placed.
pub(super) static PLACED: LazyLock<IntCounter> = LazyLock::new(|| counter("orders_placed_total", "Orders placed"));
/// Carts that expired.
pub(super) static EXPIRED: LazyLock<IntCounter> =
    LazyLock::new(|| counter("carts_expired_total", "Carts that expired and gave their stock back"));
