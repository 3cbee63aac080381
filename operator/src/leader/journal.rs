//! Logs changes of the leader, and publishes them as Events of the Lease, as client-go does.

use std::collections::VecDeque;

use catalog_logging::Chain;
use k8s_openapi::api::{coordination::v1::Lease, core::v1::ObjectReference};
use kube::{
    Client, Resource,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::time::timeout;

use super::{RETRY, installations::AnotherInstallation};

/// Reason of all Events of an election, as in client-go (`tools/leaderelection/resourcelock`).
const REASON: &str = "LeaderElection";
/// Maximum number of Events that were not published yet. The oldest is dropped.
const MAX_PENDING: usize = 4;

/// Records the election of this process.
pub struct Journal {
    recorder: Recorder,
    identity: String,
    lease: Option<ObjectReference>,
    /// Events to publish. The Lease is mostly lost while the API server is unavailable, so its Event is published later.
    pending: VecDeque<Event>,
    /// The installation that the last logged wait was for.
    waits_for: Option<AnotherInstallation>,
}

impl Journal {
    /// Creates the journal of the process `identity`.
    pub fn new(client: Client, identity: &str) -> Self {
        let reporter = Reporter { controller: "catalog-operator".into(), instance: Some(identity.into()) };
        Self {
            recorder: Recorder::new(client, reporter),
            identity: identity.into(),
            lease: None,
            pending: VecDeque::new(),
            waits_for: None,
        }
    }

    /// Sets the Lease that Events refer to.
    pub fn set_lease(&mut self, lease: Option<&Lease>) {
        if let Some(lease) = lease {
            self.lease = Some(lease.object_ref(&()));
        }
    }

    /// Records that this process leads.
    pub fn record_acquired(&mut self) {
        self.waits_for = None;
        tracing::info!(identity = self.identity, "lease acquired");
        self.add(EventType::Normal, "Acquire", format!("{} became leader", self.identity));
    }

    /// Records that this process has lost the Lease.
    pub fn record_lost(&mut self, reason: &str) {
        tracing::warn!(identity = self.identity, reason, "lease lost");
        self.add(EventType::Warning, "Lose", format!("{} stopped leading: {reason}", self.identity));
    }

    /// Records once that this process doesn't lead yet, because another installation may be running.
    pub fn record_waiting(&mut self, another: &AnotherInstallation) {
        if self.waits_for.as_ref() != Some(another) {
            tracing::info!(identity = self.identity, reason = %another, "another installation of the operator may be running; waiting");
            self.add(EventType::Normal, "Wait", format!("{} doesn't lead yet: {another}", self.identity));
            self.waits_for = Some(another.clone());
        }
    }

    /// Records that this process exits, because another installation leads or takes precedence.
    pub fn record_yielding(&mut self, another: &AnotherInstallation) {
        tracing::error!(identity = self.identity, reason = %another, "another installation of the operator exists; exiting");
        self.add(EventType::Warning, "Yield", format!("{} doesn't lead: {another}", self.identity));
    }

    /// Records that this process has released the Lease.
    pub fn record_released(&mut self) {
        self.add(EventType::Normal, "Release", format!("{} stopped leading: it has released the Lease", self.identity));
    }

    fn add(&mut self, kind: EventType, action: &str, note: String) {
        if self.pending.len() == MAX_PENDING {
            self.pending.pop_front();
        }
        self.pending.push_back(Event { type_: kind, reason: REASON.into(), note: Some(note), action: action.into(), secondary: None });
    }

    /// Publishes the pending Events. After an error, the next call tries again.
    pub async fn publish(&mut self) {
        let Some(lease) = self.lease.clone() else { return };
        while let Some(event) = self.pending.front() {
            match timeout(RETRY, self.recorder.publish(event, &lease)).await {
                // An Event that was rejected would be rejected again.
                Ok(Ok(()) | Err(kube::Error::Api(_))) => drop(self.pending.pop_front()),
                Ok(Err(error)) => return tracing::warn!(error = %Chain(&error), "Event not written; retrying"),
                Err(_) => return,
            }
        }
    }
}
