//! One operator at a time writes, chosen by a Lease.
//!
//! The algorithm is client-go's (`tools/leaderelection`): a process that sees the same record for a whole lease duration, by its own
//! monotonic clock, may take it, so clocks of different machines are never compared. What client-go leaves to the
//! caller is done by [`fence`]: no write starts after the renew deadline.

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

/// Others may take a Lease that hasn't been renewed for this long. client-go's default.
const LEASE_DURATION: Duration = Duration::from_secs(15);
/// The holder stops writing when it couldn't renew for this long. client-go's default.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Between two tries to take or renew it. client-go's default.
const RETRY: Duration = Duration::from_secs(2);
/// Name of the Lease.
const NAME: &str = "catalog-operator";

/// Takes part in the election, and says by `Leadership` how it goes.
pub struct Candidate {
    api: Api<Lease>,
    identity: String,
    leadership: Leadership,
    /// The record as last seen, and since when.
    seen: Option<(Option<LeaseSpec>, Instant)>,
    journal: Journal,
    /// Whether the journal says that this process leads.
    leads: bool,
    /// Whether the Lease was this process's when it was last read.
    holds_lease: bool,
    installations: Option<Installations>,
    owner: Option<Owner>,
}

/// How an attempt ended.
enum Standing {
    Leads(Taken),
    Follows,
    /// It holds the Lease, and another installation may be running.
    Waits(AnotherInstallation),
    Yields(AnotherInstallation),
}

/// Whose the Lease is after a try to take or renew it.
#[derive(PartialEq, Eq)]
enum Taken {
    ByAnother,
    /// This process's, which didn't lead before.
    Acquired,
    /// This process's, which leads.
    Renewed,
}

impl Candidate {
    /// Holds the Lease in `namespace`, under a name that no other process has.
    #[must_use]
    pub fn new(client: Client, namespace: &str, identity: String, leadership: Leadership) -> Self {
        let journal = Journal::new(client.clone(), &identity);
        let api = Api::namespaced(client, namespace);
        Self { api, identity, leadership, seen: None, journal, leads: false, holds_lease: false, installations: None, owner: None }
    }

    /// Leads only if no installation in another namespace does.
    #[must_use]
    pub fn alone_in_cluster(mut self, namespace: &str) -> Self {
        self.installations = Some(Installations::new(self.api.clone().into_client(), namespace));
        self
    }

    /// Runs in a Deployment of that namespace, which owns the Lease from when this process leads.
    #[must_use]
    pub fn owned_by(mut self, namespace: &str, deployment: Option<String>) -> Self {
        self.owner = deployment.map(|name| Owner::new(self.api.clone().into_client(), namespace, name));
        self
    }

    /// Takes and renews the Lease until `stop`, and gives it up then.
    ///
    /// # Errors
    /// If another installation leads.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<(), AnotherInstallation> {
        let mut ticks = interval(RETRY);
        let mut stop = std::pin::pin!(stop);
        let ended = loop {
            tokio::select! {
                () = &mut stop => break Ok(()),
                _ = ticks.tick() => match self.attempt().await {
                    // The Lease gets its owner at once.
                    Ok(Some(Taken::Acquired)) => ticks.reset_immediately(),
                    Ok(_) => {}
                    Err(another) => break Err(another),
                },
            }
        };
        self.give_up().await;
        ended
    }

    /// How the Lease was taken, if this process leads.
    async fn attempt(&mut self) -> Result<Option<Taken>, AnotherInstallation> {
        let started = Instant::now();
        let attempted = timeout(RETRY, self.stand()).await;
        let is_answered = matches!(attempted, Ok(Ok(_)));
        let mut another = None;
        let why = match attempted {
            Ok(Ok(Standing::Leads(taken))) => {
                self.leadership.extend(Some(started + RENEW_DEADLINE));
                self.leadership.decide();
                if !std::mem::replace(&mut self.leads, true) {
                    self.journal.acquired();
                }
                self.journal.publish().await;
                return Ok(Some(taken));
            }
            Ok(Ok(Standing::Follows)) => {
                self.leadership.extend(None);
                format!("{} holds the Lease", self.holder())
            }
            Ok(Ok(Standing::Waits(found))) => {
                self.leadership.extend(None);
                self.journal.waits(&found);
                found.to_string()
            }
            Ok(Ok(Standing::Yields(found))) => {
                self.journal.yields(&found);
                another.insert(found).to_string()
            }
            Ok(Err(error)) => not_renewed(&Chain(&error).to_string()),
            Err(_) => not_renewed("the API server did not respond in time"),
        };
        if self.leads && !self.leadership.holds() {
            self.leads = false;
            self.journal.lost(&why);
        }
        if is_answered {
            self.journal.publish().await;
        }
        another.map_or(Ok(None), Err)
    }

    /// Takes or renews the Lease. A process that doesn't lead looks for other installations before it does.
    async fn stand(&mut self) -> Result<Standing, kube::Error> {
        let taken = self.take().await?;
        self.holds_lease = taken != Taken::ByAnother;
        if !self.holds_lease {
            return Ok(Standing::Follows);
        }
        let Some(installations) = self.installations.as_mut().filter(|_| taken == Taken::Acquired) else {
            return Ok(Standing::Leads(taken));
        };
        Ok(match installations.others().await? {
            Others::None => Standing::Leads(taken),
            Others::Undecided(another) => Standing::Waits(another),
            Others::Precede(another) => Standing::Yields(another),
        })
    }

    /// Who holds the Lease as it was last seen.
    fn holder(&self) -> &str {
        let record = self.seen.as_ref().and_then(|(record, _)| record.as_ref());
        record.and_then(|record| record.holder_identity.as_deref()).unwrap_or("another process")
    }

    /// Takes or renews the Lease.
    async fn take(&mut self) -> Result<Taken, kube::Error> {
        let found = self.api.get_opt(NAME).await?;
        self.journal.regarding(found.as_ref());
        let record = found.as_ref().and_then(|lease| lease.spec.clone());
        if self.seen.as_ref().is_none_or(|(seen, _)| *seen != record) {
            self.seen = Some((record.clone(), Instant::now()));
        }
        let holder = record.as_ref().and_then(|record| record.holder_identity.as_deref()).unwrap_or_default();
        let ours = holder == self.identity;
        let expired = self.seen.as_ref().is_some_and(|(_, since)| since.elapsed() >= LEASE_DURATION);
        if !ours && !holder.is_empty() && !expired {
            if found.is_some_and(|lease| !is_candidate(&lease)) {
                self.leadership.decide();
            }
            return Ok(Taken::ByAnother);
        }
        // While the Lease was deleted or another process's, another installation may have begun to lead.
        let leads = ours && self.leadership.holds();
        let spec = self.renewed(record.as_ref(), ours);
        let exists = found.is_some();
        let mut lease = Lease { spec: Some(spec), ..found.unwrap_or_default() };
        if leads {
            lease.annotations_mut().remove(CANDIDATE);
            if let Some(owner) = &mut self.owner {
                owner.set(&mut lease).await;
            }
        } else {
            lease.annotations_mut().insert(CANDIDATE.into(), self.identity.clone());
        }
        let written = if exists {
            self.api.replace(NAME, &PostParams::default(), &lease).await
        } else {
            lease.metadata.name = Some(NAME.into());
            self.api.create(&PostParams::default(), &lease).await
        };
        match written {
            Ok(lease) => {
                self.journal.regarding(Some(&lease));
                Ok(if leads { Taken::Renewed } else { Taken::Acquired })
            }
            // Another one was faster.
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(Taken::ByAnother),
            Err(error) => Err(error),
        }
    }

    fn renewed(&self, record: Option<&LeaseSpec>, ours: bool) -> LeaseSpec {
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

    /// Lets the next one begin at once.
    async fn give_up(mut self) {
        if !self.holds_lease {
            return;
        }
        self.leadership.extend(None);
        let released = timeout(RETRY, async {
            // None if it was deleted with the Deployment.
            let Some(mut lease) = self.api.get_opt(NAME).await? else { return Ok(()) };
            if let Some(spec) = lease.spec.as_mut().filter(|spec| spec.holder_identity.as_deref() == Some(&self.identity)) {
                spec.holder_identity = None;
                lease.annotations_mut().remove(CANDIDATE);
                self.api.replace(NAME, &PostParams::default(), &lease).await?;
            }
            Ok::<_, kube::Error>(())
        });
        if matches!(released.await, Ok(Ok(()))) {
            self.journal.released();
            self.journal.publish().await;
        } else {
            tracing::warn!(expires_after_s = LEASE_DURATION.as_secs(), "lease not released");
        }
    }
}

/// Logs that the Lease was not renewed, and returns why it is lost if it stays so.
fn not_renewed(error: &str) -> String {
    tracing::warn!(error, "lease not renewed; retrying");
    format!("it was not renewed for {} s: {error}", RENEW_DEADLINE.as_secs())
}
