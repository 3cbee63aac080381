//! One operator at a time writes, chosen by a Lease.
//!
//! The algorithm is client-go's (`tools/leaderelection`): whoever sees the same record for a whole lease duration, by its own
//! monotonic clock, may take it, so clocks of different machines are never compared. What client-go leaves to the
//! caller is done by [`fence`]: no write starts after the renew deadline.

mod journal;

use std::{sync::Arc, time::Duration};

use catalog_logging::Chain;
use http::Request;
use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{Api, Client, api::PostParams, client::Body};
use tokio::{
    sync::watch,
    time::{Instant, interval, sleep_until, timeout},
};
use tower::{BoxError, filter::FilterLayer};

use self::journal::Journal;

/// Others may take a Lease that hasn't been renewed for this long. client-go's default.
const LEASE_DURATION: Duration = Duration::from_secs(15);
/// The holder stops writing when it couldn't renew for this long. client-go's default.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Between two tries to take or renew it. client-go's default.
const RETRY: Duration = Duration::from_secs(2);
/// Name of the Lease.
const NAME: &str = "catalog-operator";

/// Whether this process may write: until when, if at all. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Leadership(Arc<watch::Sender<Option<Instant>>>);

impl Default for Leadership {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Leadership {
    /// Whether this process may start a write now.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.0.borrow().is_some_and(|deadline| Instant::now() < deadline)
    }

    /// Returns when this process may write.
    pub async fn won(&self) {
        let mut until = self.0.subscribe();
        while !self.holds() {
            // The sender is ours: it doesn't go.
            let _ = until.changed().await;
        }
    }

    /// Returns when this process may no longer write.
    pub async fn lost(&self) {
        let mut until = self.0.subscribe();
        loop {
            let deadline = *until.borrow_and_update();
            let Some(deadline) = deadline.filter(|deadline| Instant::now() < *deadline) else { return };
            tokio::select! {
                () = sleep_until(deadline) => {}
                _ = until.changed() => {}
            }
        }
    }

    fn extend(&self, deadline: Option<Instant>) {
        self.0.send_replace(deadline);
    }
}

/// A layer beneath a client that refuses writes while this process doesn't lead.
#[must_use]
pub fn fence(leadership: Leadership) -> FilterLayer<impl Fn(Request<Body>) -> Result<Request<Body>, BoxError> + Clone> {
    FilterLayer::new(move |request: Request<Body>| {
        if request.method().is_safe() || leadership.holds() { Ok(request) } else { Err("this operator no longer leads".into()) }
    })
}

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
}

impl Candidate {
    /// Holds the Lease in `namespace`, under a name that no other process has.
    #[must_use]
    pub fn new(client: Client, namespace: &str, identity: String, leadership: Leadership) -> Self {
        let journal = Journal::new(client.clone(), &identity);
        Self { api: Api::namespaced(client, namespace), identity, leadership, seen: None, journal, leads: false }
    }

    /// Takes and renews the Lease until `stop`, and gives it up then.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut ticks = interval(RETRY);
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                _ = ticks.tick() => self.attempt().await,
            }
        }
        self.give_up().await;
    }

    async fn attempt(&mut self) {
        let started = Instant::now();
        let attempted = timeout(RETRY, self.take()).await;
        let is_answered = matches!(attempted, Ok(Ok(_)));
        let why = match attempted {
            Ok(Ok(true)) => {
                self.leadership.extend(Some(started + RENEW_DEADLINE));
                if !std::mem::replace(&mut self.leads, true) {
                    self.journal.acquired();
                }
                return self.journal.publish().await;
            }
            Ok(Ok(false)) => {
                self.leadership.extend(None);
                format!("{} holds the Lease", self.holder())
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
    }

    /// Who holds the Lease as it was last seen.
    fn holder(&self) -> &str {
        let record = self.seen.as_ref().and_then(|(record, _)| record.as_ref());
        record.and_then(|record| record.holder_identity.as_deref()).unwrap_or("another process")
    }

    /// Takes or renews the Lease. Whether it is ours now.
    async fn take(&mut self) -> Result<bool, kube::Error> {
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
            return Ok(false);
        }
        let spec = self.renewed(record.as_ref(), ours);
        let written = if let Some(lease) = found {
            self.api.replace(NAME, &PostParams::default(), &Lease { spec: Some(spec), ..lease }).await
        } else {
            let mut lease = Lease { spec: Some(spec), ..Lease::default() };
            lease.metadata.name = Some(NAME.into());
            self.api.create(&PostParams::default(), &lease).await
        };
        match written {
            Ok(lease) => {
                self.journal.regarding(Some(&lease));
                Ok(true)
            }
            // Another one was faster.
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(false),
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
        if !self.leadership.holds() {
            return;
        }
        self.leadership.extend(None);
        let released = timeout(RETRY, async {
            let mut lease = self.api.get(NAME).await?;
            if let Some(spec) = lease.spec.as_mut().filter(|spec| spec.holder_identity.as_deref() == Some(&self.identity)) {
                spec.holder_identity = None;
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
