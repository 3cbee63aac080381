//! Metrics of carts and orders.

use std::sync::LazyLock;

use prometheus::IntCounter;

use crate::metrics::register_counter;

pub(super) static ORDERS_PLACED: LazyLock<IntCounter> = LazyLock::new(|| register_counter("orders_placed_total", "Orders placed"));
pub(super) static CARTS_EXPIRED: LazyLock<IntCounter> =
    LazyLock::new(|| register_counter("carts_expired_total", "Carts that expired and released their reservations"));
