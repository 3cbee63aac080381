//! Metrics of the fulfiller.

use std::sync::LazyLock;

use prometheus::{IntCounterVec, register_int_counter_vec};

use crate::orders::Status;

#[allow(clippy::expect_used, reason = "registered once, with a constant name")]
static ORDERS_ADVANCED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!("orders_advanced_total", "Orders confirmed, fulfilled or failed by the fulfiller, by new status", &["status"])
        .expect("a metric of this name is registered once")
});

/// Registers the metric with a zero for each status.
pub(super) fn register() {
    for status in [Status::Confirmed, Status::Failed, Status::Fulfilled] {
        ORDERS_ADVANCED.with_label_values(&[status.as_str()]);
    }
}

/// Counts an order; call it after the commit.
pub(super) fn count_advanced(status: Status) {
    ORDERS_ADVANCED.with_label_values(&[status.as_str()]).inc();
}
