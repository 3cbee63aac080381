//! Bounded concurrency with a bounded queue and a timeout.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, register_int_counter_vec, register_int_gauge_vec};
use thiserror::Error;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

#[allow(clippy::expect_used, reason = "registered once, with a constant name")]
static IN_USE: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    register_int_gauge_vec!("database_read_permits_in_use", "Reads of this kind that use the database now", &["kind"])
        .expect("a metric of this name is registered once")
});
#[allow(clippy::expect_used, reason = "registered once, with a constant name")]
static WAITING: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    register_int_gauge_vec!("database_read_permits_waiting", "Reads of this kind that wait for a permit now", &["kind"])
        .expect("a metric of this name is registered once")
});
#[allow(clippy::expect_used, reason = "registered once, with a constant name")]
static REJECTED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "database_reads_rejected_total",
        "Reads of this kind rejected without a permit, by reason: queue_full or timeout",
        &["kind", "reason"]
    )
    .expect("a metric of this name is registered once")
});

/// No permit was returned in time, or the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("too many {kind} at once")]
pub struct Busy {
    /// Name of the work, in the plural.
    pub kind: &'static str,
}

/// Bounds of one kind of work.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Name for metrics and messages, in the plural.
    pub kind: &'static str,
    pub permits: u32,
    /// Maximum length of the queue. Further requests are rejected at once.
    pub waiting: u32,
    /// Longest wait for a permit.
    pub wait: Duration,
}

/// Permits for one kind of work. Cheap to clone.
#[derive(Clone)]
pub struct Permits {
    bounds: Bounds,
    running: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    in_use: IntGauge,
    waiting: IntGauge,
    queue_full: IntCounter,
    timed_out: IntCounter,
}

/// A permit, returned on drop.
pub struct Permit {
    _permit: OwnedSemaphorePermit,
    _in_use: Counted,
}

/// Increments a gauge, and decrements it on drop.
struct Counted(IntGauge);

impl Counted {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Permits {
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        let semaphore = |permits: u32| Arc::new(Semaphore::new(usize::try_from(permits).unwrap_or(Semaphore::MAX_PERMITS)));
        Self {
            running: semaphore(bounds.permits),
            queue: semaphore(bounds.waiting),
            in_use: IN_USE.with_label_values(&[bounds.kind]),
            waiting: WAITING.with_label_values(&[bounds.kind]),
            queue_full: REJECTED.with_label_values(&[bounds.kind, "queue_full"]),
            timed_out: REJECTED.with_label_values(&[bounds.kind, "timeout"]),
            bounds,
        }
    }

    /// Acquires a permit, first come, first served.
    ///
    /// # Errors
    /// [`Busy`], at once if the queue is full, or if no permit was returned in time.
    pub async fn acquire(&self) -> Result<Permit, Busy> {
        let busy = Busy { kind: self.bounds.kind };
        let permit = if let Ok(permit) = self.running.clone().try_acquire_owned() {
            permit
        } else {
            let _place = self.queue.try_acquire().map_err(|_| {
                self.queue_full.inc();
                busy
            })?;
            let _waiting = Counted::new(&self.waiting);
            // The semaphore is never closed.
            let acquired = timeout(self.bounds.wait, self.running.clone().acquire_owned()).await.ok().and_then(Result::ok);
            acquired.ok_or_else(|| {
                self.timed_out.inc();
                busy
            })?
        };
        Ok(Permit { _permit: permit, _in_use: Counted::new(&self.in_use) })
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn permits() -> Permits {
        Permits::new(Bounds { kind: "tests", permits: 1, waiting: 1, wait: Duration::from_secs(1) })
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_rejects_at_once_and_waiting_times_out() {
        let permits = permits();
        let held = permits.acquire().await.unwrap();
        let mut waiting = Box::pin(permits.acquire());
        assert!(waiting.as_mut().now_or_never().is_none(), "one may wait");
        assert!(permits.acquire().now_or_never().is_some_and(|acquired| acquired.is_err()), "a second one may not");
        assert!(waiting.await.is_err(), "no permit was returned within a second");
        drop(held);
        assert!(permits.acquire().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_request_leaves_the_queue() {
        let permits = permits();
        let held = permits.acquire().await.unwrap();
        let mut waiting = Box::pin(permits.acquire());
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(waiting);
        let mut next = Box::pin(permits.acquire());
        assert!(next.as_mut().now_or_never().is_none(), "it waits in the queue");
        drop(held);
        assert!(next.await.is_ok());
    }
}
