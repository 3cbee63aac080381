//! A layer around the operator's Kubernetes client that records its API calls, injects faults and disturbs watches.

mod breakable_watch;
mod call;
mod disturbed;
mod journal;
mod service;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Uri;
use kube::{Client, Config, client::ClientBuilder};
use tokio::sync::{Notify, watch};
use tower::Layer;

pub use call::{Call, Verb, without_hash};
pub use disturbed::Disturbance;
pub use journal::RecordedCall;

use self::{journal::Journal, service::RecordingService};

/// A fault of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The call fails before it is sent.
    NotSent,
    /// The call is not sent and returns 409, as after a write of another client.
    Conflict,
    /// The API server executes the call, but the client gets an error instead of the response.
    ResponseLost,
    /// The API server executes the call and the operator crashes: the call never returns.
    Crash,
    /// A read returns the response to the first read of the same path.
    Stale,
}

impl Fault {
    /// The faults that both reads and writes can have.
    pub const CALL_FAULTS: [Self; 3] = [Self::NotSent, Self::ResponseLost, Self::Crash];

    /// Whether this fault at this call has an effect that no other injected fault has.
    ///
    /// A lost response of a read equals a read that was not sent. A crash in a read equals a crash after the previous
    /// write. A stale read differs from a current one only if the object has changed.
    pub fn matters_at(self, made: &RecordedCall) -> bool {
        match self {
            Self::NotSent => true,
            Self::Conflict | Self::ResponseLost | Self::Crash => made.is_write,
            Self::Stale => made.has_changed,
        }
    }
}

/// A [`Layer`] around a client that records its calls and injects faults. Clones share their state.
///
/// Watches and calls for Leases and Events are not recorded: they do not decide the result of a reconcile.
#[derive(Clone, Default)]
pub struct CallRecorder(Arc<State>);

#[derive(Default)]
struct State {
    journal: Mutex<Journal>,
    crashed: Notify,
    watches_broken: watch::Sender<bool>,
    disturbance: watch::Sender<Disturbance>,
    /// The plural name of the resource whose next watch expires.
    expired: Mutex<Option<String>>,
}

impl CallRecorder {
    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.0.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates a client on the current runtime with this layer.
    ///
    /// # Panics
    /// If the configuration is wrong.
    pub fn client(&self, config: Config) -> Client {
        ClientBuilder::try_from(config).expect("a valid configuration").with_layer(self).build()
    }

    /// Clears the recorded calls and planned faults. First responses are kept for stale reads.
    pub fn reset(&self) {
        self.journal().reset();
    }

    /// Plans a fault at a call whose occurrence counts from the last [`Self::reset`].
    pub fn plan(&self, call: Call, fault: Fault) {
        self.journal().plan(call, fault);
    }

    /// Makes every read return its first response, until called with `false`.
    pub fn make_all_reads_stale(&self, stale: bool) {
        self.journal().all_stale = stale;
    }

    /// Ends all watches with an error and fails new ones, until called with `false`.
    pub fn break_watches(&self, broken: bool) {
        self.0.watches_broken.send_replace(broken);
    }

    /// Disturbs the events of all watches from now on.
    pub fn disturb(&self, disturbance: Disturbance) {
        self.0.disturbance.send_replace(disturbance);
    }

    /// Makes the next new watch of this resource fail with 410, so that the client lists again.
    pub fn expire(&self, plural: &str) {
        *self.0.expired.lock().unwrap_or_else(PoisonError::into_inner) = Some(plural.into());
    }

    fn expires(&self, uri: &Uri) -> bool {
        let mut expired = self.0.expired.lock().unwrap_or_else(PoisonError::into_inner);
        expired.take_if(|plural| uri.path().ends_with(&format!("/{plural}"))).is_some()
    }

    /// Whether the watch of [`Self::expire`] was started and has failed.
    pub fn has_expired(&self) -> bool {
        self.0.expired.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Returns the calls since the last [`Self::reset`], in order.
    pub fn calls(&self) -> Vec<RecordedCall> {
        self.journal().made().to_vec()
    }

    /// Returns the calls that are writes.
    pub fn writes(&self) -> Vec<Call> {
        self.journal().made().iter().filter(|made| made.is_write).map(|made| made.call.clone()).collect()
    }

    /// Returns how many planned faults and stale reads have occurred.
    pub fn injected(&self) -> usize {
        self.journal().injected
    }

    /// Waits until a call crashes the operator. Returns at once if one has.
    pub async fn crashed(&self) {
        self.0.crashed.notified().await;
    }
}

impl<S> Layer<S> for CallRecorder {
    type Service = RecordingService<S>;

    fn layer(&self, inner: S) -> RecordingService<S> {
        RecordingService::new(inner, self.clone())
    }
}
