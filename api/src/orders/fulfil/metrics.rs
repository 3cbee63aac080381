//! Counting the orders that were moved on.

use std::sync::LazyLock;

use prometheus::{IntCounterVec, register_int_counter_vec};

use crate::orders::Status;

#[allow(clippy::expect_used, reason = "registered once, with a constant name")]
static ADVANCED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!("orders_advanced_total", "Orders moved on by the shop itself, by the status they have reached", &["status"])
        .expect("a metric of this name is registered once")
});

/// Shows zeros before the first order.
pub(super) fn start() {
    for status in [Status::Confirmed, Status::Failed, Status::Fulfilled] {
        ADVANCED.with_label_values(&[status.as_str()]);
    }
}

/// An order was moved, and that is committed.
pub(super) fn advanced(status: Status) {
    ADVANCED.with_label_values(&[status.as_str()]).inc();
}
