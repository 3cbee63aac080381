//! Logs who leads and since when, and writes it into Events of the Lease, as client-go does.

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
/// Events that wait for the API server; older ones are dropped.
const MAX_WAITING: usize = 4;

/// What happened in the election.
pub struct Journal {
    recorder: Recorder,
    identity: String,
    lease: Option<ObjectReference>,
    /// The Lease is mostly lost while the API server cannot be reached: its Event is written when it can.
    waiting: VecDeque<Event>,
    /// The installation of which it was last said that this process waits for it.
    waits_for: Option<AnotherInstallation>,
}

impl Journal {
    /// Of the process with that name.
    pub fn new(client: Client, identity: &str) -> Self {
        let reporter = Reporter { controller: "catalog-operator".into(), instance: Some(identity.into()) };
        Self {
            recorder: Recorder::new(client, reporter),
            identity: identity.into(),
            lease: None,
            waiting: VecDeque::new(),
            waits_for: None,
        }
    }

    /// The Lease that Events are about.
    pub fn regarding(&mut self, lease: Option<&Lease>) {
        if let Some(lease) = lease {
            self.lease = Some(lease.object_ref(&()));
        }
    }

    /// This process leads.
    pub fn acquired(&mut self) {
        self.waits_for = None;
        tracing::info!(identity = self.identity, "lease acquired");
        self.add(EventType::Normal, "Acquire", format!("{} became leader", self.identity));
    }

    /// This process no longer leads, though it should.
    pub fn lost(&mut self, why: &str) {
        tracing::warn!(identity = self.identity, reason = why, "lease lost");
        self.add(EventType::Warning, "Lose", format!("{} stopped leading: {why}", self.identity));
    }

    /// This process doesn't lead yet, since another installation may be running. It is said once.
    pub fn waits(&mut self, another: &AnotherInstallation) {
        if self.waits_for.as_ref() != Some(another) {
            tracing::info!(identity = self.identity, reason = %another, "another installation of the operator may be running; waiting");
            self.add(EventType::Normal, "Wait", format!("{} doesn't lead yet: {another}", self.identity));
            self.waits_for = Some(another.clone());
        }
    }

    /// This process doesn't lead, since another installation does.
    pub fn yields(&mut self, another: &AnotherInstallation) {
        tracing::error!(identity = self.identity, reason = %another, "another installation of the operator exists; exiting");
        self.add(EventType::Warning, "Yield", format!("{} doesn't lead: {another}", self.identity));
    }

    /// This process has stopped.
    pub fn released(&mut self) {
        self.add(EventType::Normal, "Release", format!("{} stopped leading: it has released the Lease", self.identity));
    }

    fn add(&mut self, kind: EventType, action: &str, note: String) {
        if self.waiting.len() == MAX_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back(Event { type_: kind, reason: REASON.into(), note: Some(note), action: action.into(), secondary: None });
    }

    /// Writes the Events that wait. One that can't be written is tried again the next time.
    pub async fn publish(&mut self) {
        let Some(lease) = self.lease.clone() else { return };
        while let Some(event) = self.waiting.front() {
            match timeout(RETRY, self.recorder.publish(event, &lease)).await {
                // Rejected: it would be rejected again.
                Ok(Ok(()) | Err(kube::Error::Api(_))) => drop(self.waiting.pop_front()),
                Ok(Err(error)) => return tracing::warn!(error = %Chain(&error), "Event not written; retrying"),
                Err(_) => return,
            }
        }
    }
}
