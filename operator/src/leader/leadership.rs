//! Whether this process leads, and the layer that keeps it from writing when it doesn't.

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

/// Whether this process may write: until when, if at all. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Leadership {
    until: Arc<watch::Sender<Option<Instant>>>,
    is_decided: Arc<AtomicBool>,
}

impl Default for Leadership {
    fn default() -> Self {
        Self { until: Arc::new(watch::Sender::new(None)), is_decided: Arc::default() }
    }
}

impl Leadership {
    /// Whether this process may start a write now.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.until.borrow().is_some_and(|deadline| Instant::now() < deadline)
    }

    /// Returns when this process may write.
    pub async fn won(&self) {
        let mut until = self.until.subscribe();
        while !self.holds() {
            // The sender is ours: it doesn't go.
            let _ = until.changed().await;
        }
    }

    /// Returns when this process may no longer write.
    pub async fn lost(&self) {
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

    /// Whether this process has led, or has seen that another one of its installation leads.
    #[must_use]
    pub fn is_decided(&self) -> bool {
        self.is_decided.load(Ordering::Relaxed)
    }

    /// Moves the time until which it may write.
    pub(super) fn extend(&self, deadline: Option<Instant>) {
        self.until.send_replace(deadline);
    }

    /// From now on [`is_decided`](Self::is_decided).
    pub(super) fn decide(&self) {
        self.is_decided.store(true, Ordering::Relaxed);
    }
}

/// A layer beneath a client that rejects writes while this process doesn't lead.
#[must_use]
pub fn fence(leadership: Leadership) -> FilterLayer<impl Fn(Request<Body>) -> Result<Request<Body>, BoxError> + Clone> {
    FilterLayer::new(move |request: Request<Body>| {
        if request.method().is_safe() || leadership.holds() { Ok(request) } else { Err("this operator no longer leads".into()) }
    })
}
