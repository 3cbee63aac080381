//! Whether this process leads, and a layer that rejects its writes while it doesn't.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http::Request;
use kube::client::Body;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tower::{BoxError, filter::FilterLayer};

/// The time until which this process leads and may write, if it does. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Leadership {
    until: Arc<watch::Sender<Option<Instant>>>,
    is_leader_known: Arc<AtomicBool>,
}

impl Default for Leadership {
    fn default() -> Self {
        Self { until: Arc::new(watch::Sender::new(None)), is_leader_known: Arc::default() }
    }
}

impl Leadership {
    /// Whether this process may start a write now.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.until.borrow().is_some_and(|deadline| Instant::now() < deadline)
    }

    /// Waits until this process may write.
    pub async fn wait_until_won(&self) {
        let mut until = self.until.subscribe();
        while !self.holds() {
            // This fails only if the sender was dropped, and `self` owns it.
            let _ = until.changed().await;
        }
    }

    /// Waits until this process may no longer write.
    pub async fn wait_until_lost(&self) {
        let mut until = self.until.subscribe();
        loop {
            let deadline = *until.borrow_and_update();
            let Some(deadline) = deadline.filter(|deadline| Instant::now() < *deadline) else { return };
            tokio::select! {
                () = sleep_until(deadline) => {}
                _ = until.changed() => {}
            }
        }
    }

    /// Whether this process has led, or has seen that another process of its installation leads.
    #[must_use]
    pub fn is_leader_known(&self) -> bool {
        self.is_leader_known.load(Ordering::Relaxed)
    }

    /// Sets the time until which this process may write; `None` if it may not.
    pub(super) fn set_deadline(&self, deadline: Option<Instant>) {
        self.until.send_replace(deadline);
    }

    /// Makes [`is_leader_known`](Self::is_leader_known) return false.
    pub(super) fn mark_leader_unknown(&self) {
        self.is_leader_known.store(false, Ordering::Relaxed);
    }

    /// Makes [`is_leader_known`](Self::is_leader_known) return true.
    pub(super) fn mark_leader_known(&self) {
        self.is_leader_known.store(true, Ordering::Relaxed);
    }
}

/// Returns a layer of a client that rejects writes while this process doesn't lead.
#[must_use]
pub fn fence(leadership: Leadership) -> FilterLayer<impl Fn(Request<Body>) -> Result<Request<Body>, BoxError> + Clone> {
    FilterLayer::new(move |request: Request<Body>| {
        if request.method().is_safe() || leadership.holds() { Ok(request) } else { Err("this operator no longer leads".into()) }
    })
}
