//! Metrics of mail.

use std::sync::LazyLock;

use prometheus::{Gauge, IntCounterVec, IntGaugeVec, register_gauge, register_int_counter_vec, register_int_gauge_vec};

#[allow(clippy::expect_used, reason = "registered once, with a constant name")]
static DELIVERIES: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    register_int_gauge_vec!("deliveries", "Mails by state: pending, or refused (rejected permanently in the last 30 days)", &["state"])
        .expect("a metric of this name is registered once")
});
#[allow(clippy::expect_used, reason = "registered once, with a constant name")]
static OLDEST_AGE: LazyLock<Gauge> = LazyLock::new(|| {
    register_gauge!("deliveries_oldest_pending_age_seconds", "How long the oldest pending mail has waited; 0 when none waits")
        .expect("a metric of this name is registered once")
});
#[allow(clippy::expect_used, reason = "registered once, with a constant name")]
static ATTEMPTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "delivery_attempts_total",
        "Attempts to send a mail: sent, deferred (rejected temporarily), refused (rejected permanently), interrupted (server error)",
        &["outcome"]
    )
    .expect("a metric of this name is registered once")
});

/// The outcome of an attempt to send a mail.
#[derive(Debug, Clone, Copy)]
pub(super) enum Attempt {
    Sent,
    Deferred,
    Rejected,
    Interrupted,
}

impl Attempt {
    const ALL: [Self; 4] = [Self::Sent, Self::Deferred, Self::Rejected, Self::Interrupted];

    fn label(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Deferred => "deferred",
            Self::Rejected => "refused",
            Self::Interrupted => "interrupted",
        }
    }

    pub(super) fn count(self) {
        ATTEMPTS.with_label_values(&[self.label()]).inc();
    }
}

/// Initialises every counter to 0.
pub(super) fn register() {
    for attempt in Attempt::ALL {
        ATTEMPTS.with_label_values(&[attempt.label()]);
    }
}

pub(super) fn set_backlog(pending: i64, rejected: i64, oldest_age_seconds: f64) {
    DELIVERIES.with_label_values(&["pending"]).set(pending);
    DELIVERIES.with_label_values(&["refused"]).set(rejected);
    OLDEST_AGE.set(oldest_age_seconds);
}
