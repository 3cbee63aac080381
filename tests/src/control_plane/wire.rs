//! The wire between an operator and the API server: it numbers the calls, and breaks at one of them.

mod call;
mod disturbed;
mod journal;
mod service;
mod watching;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Uri;
use kube::{Client, Config, client::ClientBuilder};
use tokio::sync::{Notify, watch};
use tower::Layer;

pub use call::{Call, Verb, without_hash};
pub use disturbed::Disturbance;
pub use journal::Made;

use self::{journal::Journal, service::Wired};

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// It fails before anything is sent.
    Refused,
    /// It is answered with 409, and nothing is done: another client was faster.
    Conflict,
    /// It is sent and done, but the answer is lost.
    Lost,
    /// It is sent and done, and then the operator is no more: the call never returns.
    Crash,
    /// A read, answered with what was true when the same was asked first.
    Stale,
}

impl Fault {
    /// What can happen to any call.
    pub const OUTAGES: [Self; 3] = [Self::Refused, Self::Lost, Self::Crash];

    /// Whether it could make a difference there that no other fault makes. A read changes nothing: one whose answer is
    /// lost is one that was refused, and a crash at one is a crash after the write before it, since nothing of the
    /// operator survives either. And only a read of what has changed can be stale.
    pub fn matters_at(self, made: &Made) -> bool {
        match self {
            Self::Refused => true,
            Self::Conflict | Self::Lost | Self::Crash => made.is_write,
            Self::Stale => made.is_news,
        }
    }
}

/// A wire. Clones are the same wire. As a [`Layer`] it goes around a client.
///
/// Watches, Leases and Events pass without a number: they are not part of a reconcile, or say only
/// what happened.
#[derive(Clone, Default)]
pub struct Wire(Arc<State>);

#[derive(Default)]
struct State {
    journal: Mutex<Journal>,
    crashed: Notify,
    deaf: watch::Sender<bool>,
    disturbance: watch::Sender<Disturbance>,
    /// Plural of the kind whose next watch has expired.
    expired: Mutex<Option<String>>,
}

impl Wire {
    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.0.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client of the runtime that asks for it, with this wire around it.
    ///
    /// # Panics
    /// If the configuration is wrong.
    pub fn client(&self, config: Config) -> Client {
        ClientBuilder::try_from(config).expect("a valid configuration").with_layer(self).build()
    }

    /// Starts counting anew. What was read before is remembered for stale answers.
    pub fn begin(&self) {
        self.journal().begin();
    }

    /// Plans a fault at a call that is counted from the last [`Self::begin`].
    pub fn plan(&self, call: Call, fault: Fault) {
        self.journal().plan(call, fault);
    }

    /// From now on every read is answered as it was first, until `false`.
    pub fn make_all_reads_stale(&self, stale: bool) {
        self.journal().all_stale = stale;
    }

    /// Watches break off and cannot be begun again, until `false`: what happens meanwhile isn't heard of.
    pub fn make_deaf(&self, deaf: bool) {
        self.0.deaf.send_replace(deaf);
    }

    /// From now on this happens to the events of watches.
    pub fn disturb(&self, disturbance: Disturbance) {
        self.0.disturbance.send_replace(disturbance);
    }

    /// The next watch of this kind that begins is told that it has to list again.
    pub fn expire(&self, plural: &str) {
        *self.0.expired.lock().unwrap_or_else(PoisonError::into_inner) = Some(plural.into());
    }

    fn expires(&self, uri: &Uri) -> bool {
        let mut expired = self.0.expired.lock().unwrap_or_else(PoisonError::into_inner);
        expired.take_if(|plural| uri.path().ends_with(&format!("/{plural}"))).is_some()
    }

    /// Whether the watch that was to expire has begun.
    pub fn has_expired(&self) -> bool {
        self.0.expired.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// The calls since the last [`Self::begin`], in order.
    pub fn calls(&self) -> Vec<Made> {
        self.journal().made().to_vec()
    }

    /// The calls that change something.
    pub fn writes(&self) -> Vec<Call> {
        self.journal().made().iter().filter(|made| made.is_write).map(|made| made.call.clone()).collect()
    }

    /// How often a planned fault, or a stale answer, has happened.
    pub fn injected(&self) -> usize {
        self.journal().injected
    }

    /// Returns when a call has crashed the operator, at once if it was before.
    pub async fn crashed(&self) {
        self.0.crashed.notified().await;
    }
}

impl<S> Layer<S> for Wire {
    type Service = Wired<S>;

    fn layer(&self, inner: S) -> Wired<S> {
        Wired::new(inner, self.clone())
    }
}
