//! Leader election with a Lease: only the leader writes.
//!
//! The algorithm is client-go's (`tools/leaderelection`): a process that sees an unchanged Lease for a whole lease duration, by its own
//! monotonic clock, may take it, so clocks of different machines are never compared. Beyond client-go, [`fence`] ensures that
//! no write starts after the renew deadline.

mod installations;
mod journal;
mod leadership;
mod owner;

use std::time::Duration;

use catalog_logging::Chain;
use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{Api, Client, ResourceExt, api::PostParams};
use tokio::time::{Instant, interval, timeout};

pub use self::{
    installations::AnotherInstallation,
    leadership::{Leadership, fence},
};
use self::{
    installations::{CANDIDATE, Installations, Others, is_candidate},
    journal::Journal,
    owner::Owner,
};

/// Another process may take a Lease that hasn't been renewed for this long. client-go's default.
const LEASE_DURATION: Duration = Duration::from_secs(15);
/// The holder stops writing if it couldn't renew the Lease for this long. client-go's default.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Interval between two attempts to take or renew the Lease. client-go's default.
const RETRY: Duration = Duration::from_secs(2);
/// Name of the Lease.
const NAME: &str = "catalog-operator";

/// Runs leader election and publishes the result through `Leadership`.
pub struct Elector {
    api: Api<Lease>,
    identity: String,
    leadership: Leadership,
    /// The spec of the Lease as it was last seen, and when it was first seen.
    seen: Option<(Option<LeaseSpec>, Instant)>,
    journal: Journal,
    /// Whether the journal has recorded that this process leads.
    leads: bool,
    /// Whether this process held the Lease after the last attempt.
    holds_lease: bool,
    installations: Option<Installations>,
    owner: Option<Owner>,
}

/// Result of one attempt to lead.
enum AttemptOutcome {
    Leads(TakeResult),
    /// Another process holds the Lease.
    Follows,
    /// This process holds the Lease, but another installation may be running.
    Waits(AnotherInstallation),
    /// Another installation leads or takes precedence.
    Yields(AnotherInstallation),
}

/// Result of one attempt to take the Lease: whether this process holds it, and whether it leads.
#[derive(PartialEq, Eq)]
enum TakeResult {
    NotHeld,
    HeldButNotLeading,
    HeldAndLeading,
}

impl Elector {
    /// A participant in the election for the Lease in `namespace`. `identity` must be unique.
    #[must_use]
    pub fn new(client: Client, namespace: &str, identity: String, leadership: Leadership) -> Self {
        let journal = Journal::new(client.clone(), &identity);
        let api = Api::namespaced(client, namespace);
        Self { api, identity, leadership, seen: None, journal, leads: false, holds_lease: false, installations: None, owner: None }
    }

    /// Also rejects leading while an installation in another namespace exists.
    #[must_use]
    pub fn alone_in_cluster(mut self, namespace: &str) -> Self {
        self.installations = Some(Installations::new(self.api.clone().into_client(), namespace));
        self
    }

    /// Once this process leads, it makes `deployment` the owner of the Lease.
    #[must_use]
    pub fn owned_by(mut self, namespace: &str, deployment: Option<String>) -> Self {
        self.owner = deployment.map(|name| Owner::new(self.api.clone().into_client(), namespace, name));
        self
    }

    /// Takes and renews the Lease until `stop`, then releases it.
    ///
    /// # Errors
    /// If another installation leads or takes precedence.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<(), AnotherInstallation> {
        let mut ticks = interval(RETRY);
        let mut stop = std::pin::pin!(stop);
        let ended = loop {
            tokio::select! {
                () = &mut stop => break Ok(()),
                _ = ticks.tick() => match self.attempt().await {
                    // The next renewal sets the owner of the Lease, without waiting for the interval.
                    Ok(Some(TakeResult::HeldButNotLeading)) => ticks.reset_immediately(),
                    Ok(_) => {}
                    Err(another) => break Err(another),
                },
            }
        };
        self.release().await;
        ended
    }

    /// Makes one attempt to lead and publishes its outcome. Returns `None` if this process doesn't lead.
    async fn attempt(&mut self) -> Result<Option<TakeResult>, AnotherInstallation> {
        let started = Instant::now();
        let attempted = timeout(RETRY, self.try_to_lead()).await;
        let is_answered = matches!(attempted, Ok(Ok(_)));
        let mut another = None;
        let reason = match attempted {
            Ok(Ok(AttemptOutcome::Leads(taken))) => {
                self.leadership.set_deadline(Some(started + RENEW_DEADLINE));
                self.leadership.mark_leader_known();
                if !std::mem::replace(&mut self.leads, true) {
                    self.journal.record_acquired();
                }
                self.journal.publish().await;
                return Ok(Some(taken));
            }
            Ok(Ok(AttemptOutcome::Follows)) => {
                self.leadership.set_deadline(None);
                format!("{} holds the Lease", self.holder())
            }
            Ok(Ok(AttemptOutcome::Waits(found))) => {
                self.leadership.set_deadline(None);
                self.journal.record_waiting(&found);
                found.to_string()
            }
            Ok(Ok(AttemptOutcome::Yields(found))) => {
                self.journal.record_yielding(&found);
                another.insert(found).to_string()
            }
            Ok(Err(error)) => log_failed_renewal(&Chain(&error).to_string()),
            Err(_) => log_failed_renewal("the API server did not respond in time"),
        };
        if self.leads && !self.leadership.holds() {
            self.leads = false;
            self.journal.record_lost(&reason);
        }
        if is_answered {
            self.journal.publish().await;
        }
        another.map_or(Ok(None), Err)
    }

    /// Takes or renews the Lease. Before this process starts to lead, it looks for other installations.
    async fn try_to_lead(&mut self) -> Result<AttemptOutcome, kube::Error> {
        let taken = self.take_or_renew().await?;
        self.holds_lease = taken != TakeResult::NotHeld;
        if !self.holds_lease {
            return Ok(AttemptOutcome::Follows);
        }
        let Some(installations) = self.installations.as_mut().filter(|_| taken == TakeResult::HeldButNotLeading) else {
            return Ok(AttemptOutcome::Leads(taken));
        };
        let others = installations.find_others().await;
        if !matches!(others, Ok(Others::None)) {
            // This process keeps others of its installation from leading, and doesn't lead.
            self.leadership.mark_leader_unknown();
        }
        Ok(match others? {
            Others::None => AttemptOutcome::Leads(taken),
            Others::Undecided(another) => AttemptOutcome::Waits(another),
            Others::MustYieldTo(another) => AttemptOutcome::Yields(another),
        })
    }

    /// The holder of the Lease as it was last seen.
    fn holder(&self) -> &str {
        let record = self.seen.as_ref().and_then(|(record, _)| record.as_ref());
        record.and_then(|record| record.holder_identity.as_deref()).unwrap_or("another process")
    }

    /// Takes the Lease if it is free or has expired, or renews it.
    async fn take_or_renew(&mut self) -> Result<TakeResult, kube::Error> {
        let found = self.api.get_opt(NAME).await?;
        self.journal.set_lease(found.as_ref());
        let record = found.as_ref().and_then(|lease| lease.spec.clone());
        if self.seen.as_ref().is_none_or(|(seen, _)| *seen != record) {
            self.seen = Some((record.clone(), Instant::now()));
        }
        let holder = record.as_ref().and_then(|record| record.holder_identity.as_deref()).unwrap_or_default();
        let ours = holder == self.identity;
        let expired = self.seen.as_ref().is_some_and(|(_, since)| since.elapsed() >= LEASE_DURATION);
        if !ours && !holder.is_empty() && !expired {
            if found.is_some_and(|lease| !is_candidate(&lease)) {
                self.leadership.mark_leader_known();
            }
            return Ok(TakeResult::NotHeld);
        }
        // If this process didn't hold the Lease without interruption, another installation may have begun to lead.
        let leads = ours && self.leadership.holds();
        // A process that cannot list Leases never leads. If it held the Lease, others would wait for it.
        if let Some(installations) = self.installations.as_ref().filter(|_| !leads) {
            installations.check_access().await.inspect_err(|_| self.leadership.mark_leader_unknown())?;
        }
        let spec = self.renewed_spec(record.as_ref(), ours);
        let exists = found.is_some();
        let mut lease = Lease { spec: Some(spec), ..found.unwrap_or_default() };
        let references = lease.metadata.owner_references.clone();
        if leads {
            lease.annotations_mut().remove(CANDIDATE);
            if let Some(owner) = &mut self.owner {
                owner.set(&mut lease).await;
            }
        } else {
            lease.annotations_mut().insert(CANDIDATE.into(), self.identity.clone());
        }
        let mut written = if exists {
            self.api.replace(NAME, &PostParams::default(), &lease).await
        } else {
            lease.metadata.name = Some(NAME.into());
            self.api.create(&PostParams::default(), &lease).await
        };
        if let (Err(kube::Error::Api(status)), Some(owner)) = (&written, &mut self.owner)
            && (status.is_forbidden() || status.is_invalid())
            && lease.metadata.owner_references != references
        {
            owner.record_failure(status.message.clone());
            lease.metadata.owner_references = references;
            written = self.api.replace(NAME, &PostParams::default(), &lease).await;
        }
        match written {
            Ok(lease) => {
                self.journal.set_lease(Some(&lease));
                Ok(if leads { TakeResult::HeldAndLeading } else { TakeResult::HeldButNotLeading })
            }
            // Another process has taken the Lease in the meantime.
            Err(kube::Error::Api(status)) if !ours && (status.is_conflict() || status.is_already_exists()) => Ok(TakeResult::NotHeld),
            Err(error) => Err(error),
        }
    }

    fn renewed_spec(&self, record: Option<&LeaseSpec>, ours: bool) -> LeaseSpec {
        let now = Some(MicroTime(Timestamp::now()));
        let transitions = record.and_then(|record| record.lease_transitions).unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(LEASE_DURATION.as_secs()).ok(),
            renew_time: now.clone(),
            acquire_time: record.filter(|_| ours).map_or(now, |record| record.acquire_time.clone()),
            lease_transitions: Some(if ours { transitions } else { transitions.saturating_add(1) }),
            ..LeaseSpec::default()
        }
    }

    /// Releases the Lease, so that another replica can take it immediately.
    async fn release(mut self) {
        if !self.holds_lease {
            return;
        }
        self.leadership.set_deadline(None);
        let released = timeout(RETRY, async {
            // The garbage collector deletes the Lease with the Deployment.
            let Some(mut lease) = self.api.get_opt(NAME).await? else { return Ok(()) };
            if let Some(spec) = lease.spec.as_mut().filter(|spec| spec.holder_identity.as_deref() == Some(&self.identity)) {
                spec.holder_identity = None;
                lease.annotations_mut().remove(CANDIDATE);
                self.api.replace(NAME, &PostParams::default(), &lease).await?;
            }
            Ok::<_, kube::Error>(())
        });
        if matches!(released.await, Ok(Ok(()))) {
            if self.leads {
                self.journal.record_released();
            }
            self.journal.publish().await;
        } else {
            tracing::warn!(expires_after_s = LEASE_DURATION.as_secs(), "lease not released");
        }
    }
}

/// Logs a failed renewal, and returns the reason to log if leadership is lost because of this.
fn log_failed_renewal(error: &str) -> String {
    tracing::warn!(error, "lease not renewed; retrying");
    format!("it was not renewed for {} s: {error}", RENEW_DEADLINE.as_secs())
}
