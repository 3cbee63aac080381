//! Metrics of carts and orders.

use std::sync::LazyLock;

use catalog_process::metrics::register_counter;
use prometheus::IntCounter;

pub(super) static ORDERS_PLACED: LazyLock<IntCounter> = LazyLock::new(|| register_counter("orders_placed_total", "Orders placed"));
pub(super) static CARTS_EXPIRED: LazyLock<IntCounter> =
    LazyLock::new(|| register_counter("carts_expired_total", "Carts that expired and released their reservations"));
