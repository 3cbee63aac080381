//! Senders. Each claims one delivery at a time in a transaction that stays open while the mail is in flight, so that the
//! deliveries of a crashed process are unlocked at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use catalog_logging::Chain;
use chrono::{TimeDelta, Utc};
use lettre::message::Mailbox;
use rand::RngExt;
use sqlx::{PgPool, Postgres, Transaction};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    circuit_breaker::CircuitBreaker,
    deliveries::{self, ClaimedDelivery},
    in_flight::{Claim, InFlight},
    mail::{Draft, masked},
    metrics::{self, Attempt},
    transport::{Failure, FailureKind, Session, Transport},
};
use crate::database;

/// Poll interval for deliveries that another process has written, or that have become due again.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Idle timeout of sessions.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// First and maximum delay before a deferred delivery is retried. Attempts and age of a delivery are not limited.
const DEFERRAL: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(10));
/// Maximum delay before a sender retries after an error of the database.
const DATABASE_PAUSE: Duration = Duration::from_secs(1);

/// The senders of this process. Cheap to clone.
#[derive(Clone)]
pub struct Senders(Arc<Shared>);

struct Shared {
    pool: PgPool,
    transport: Transport,
    from: Mailbox,
    breaker: CircuitBreaker,
    new_deliveries: Arc<Notify>,
    /// Whether the last query failed.
    database_unavailable: AtomicBool,
    in_flight: InFlight,
}

impl Senders {
    /// `new_deliveries` wakes the senders.
    #[must_use]
    pub fn new(pool: PgPool, transport: Transport, from: Mailbox, new_deliveries: Arc<Notify>) -> Self {
        metrics::register();
        let (breaker, database_unavailable, in_flight) = Default::default();
        Self(Arc::new(Shared { pool, transport, from, breaker, new_deliveries, database_unavailable, in_flight }))
    }

    /// Reports the state of the mail server as of the last attempt.
    ///
    /// # Errors
    /// The error of that attempt.
    pub fn check(&self) -> Result<(), String> {
        self.0.breaker.error().map_or(Ok(()), Err)
    }

    /// Runs one sender until `stop`, then finishes its mail in flight. It retries while the database or the mail server is
    /// unavailable.
    ///
    /// # Errors
    /// None.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut session = None;
        while stop.run_until_cancelled(self.0.breaker.wait()).await.is_some() {
            let new_deliveries = self.0.new_deliveries.notified();
            let pause = match self.0.deliver_next(&mut session).await {
                Ok(true) => continue,
                Ok(false) => {
                    self.0.probe_server().await;
                    POLL_INTERVAL
                }
                Err(error) => {
                    // One line per outage.
                    if !self.0.database_unavailable.swap(true, Ordering::Relaxed) {
                        tracing::warn!(error = %Chain(&error), "database unavailable; retrying");
                    }
                    DATABASE_PAUSE.mul_f64(rand::rng().random_range(0.5..1.0))
                }
            };
            tokio::select! {
                () = new_deliveries => {}
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
            if let Some(idle) = session.take_if(|session| session.idle() > IDLE_TIMEOUT) {
                idle.quit().await;
            }
        }
        if let Some(session) = session {
            session.quit().await;
        }
        Ok(())
    }
}

impl Shared {
    /// If the breaker is open but nothing is due (another process may have sent it all), connects once so that readiness recovers.
    async fn probe_server(&self) {
        if self.breaker.error().is_none() {
            return;
        }
        let started = Instant::now();
        match self.transport.connect().await {
            Ok(session) => {
                session.quit().await;
                self.breaker.record_success();
            }
            Err(Failure { reply, .. }) => drop(self.breaker.record_failure(started, &reply)),
        }
    }

    /// Sends the delivery that has been due longest. Returns false if none is due.
    async fn deliver_next(&self, session: &mut Option<Session>) -> Result<bool, sqlx::Error> {
        // Taken before the claim: senders whose attempts overlap count as one failure.
        let started = Instant::now();
        let mut tx = database::begin_with_index_scans(&self.pool).await?;
        let claimed = deliveries::claim_due(&mut tx, Utc::now()).await?;
        self.database_unavailable.store(false, Ordering::Relaxed);
        let Some(delivery) = claimed else { return Ok(false) };
        // Error level, so that no log filter drops the span. Neither address nor name is logged.
        let span = tracing::error_span!(
            "delivery",
            event_id = %delivery.event_id,
            delivery_id = delivery.id,
            recipient_id = %delivery.recipient_id,
            deferrals = delivery.deferrals,
        );
        self.deliver(tx, session, &delivery, started).instrument(span).await
    }

    /// Sends one mail and stores the outcome. Returns false if another sender of this process is sending it.
    async fn deliver(
        &self,
        mut tx: Transaction<'static, Postgres>,
        session: &mut Option<Session>,
        delivery: &ClaimedDelivery,
        started: Instant,
    ) -> Result<bool, sqlx::Error> {
        let outcome = match self.in_flight.claim(delivery.id) {
            Claim::Send => self.transmit(session, delivery).await,
            Claim::MarkSent => Ok("sent while the database was unavailable; the reply is lost".to_owned()),
            Claim::Skip => return Ok(false),
        };
        if outcome.is_err() {
            self.in_flight.remove(delivery.id);
        }
        let now = Utc::now();
        match &outcome {
            Ok(reply) => {
                self.in_flight.record_sent(delivery.id);
                deliveries::mark_sent(&mut tx, delivery.id, reply, now).await?;
            }
            Err(Failure { kind: FailureKind::Permanent, reply }) => deliveries::mark_rejected(&mut tx, delivery.id, reply, now).await?,
            Err(Failure { kind: FailureKind::Transient, reply }) => {
                deliveries::defer(&mut tx, delivery.id, reply, now + deferral(delivery.deferrals)).await?;
            }
            Err(Failure { kind: FailureKind::Server, reply }) => {
                deliveries::requeue(&mut tx, delivery.id, reply, now).await?;
            }
        }
        tx.commit().await?;
        self.in_flight.remove(delivery.id);
        self.report(delivery, &outcome, started);
        Ok(true)
    }

    /// Reports an outcome to the log, the metrics and the circuit breaker.
    fn report(&self, delivery: &ClaimedDelivery, outcome: &Result<String, Failure>, started: Instant) {
        let mask = |reply: &str| reply.replace(&delivery.address, &masked(&delivery.address));
        match outcome {
            Ok(_) => {
                Attempt::Sent.count();
                tracing::info!("delivery sent");
            }
            Err(Failure { kind: FailureKind::Permanent, reply }) => {
                Attempt::Rejected.count();
                tracing::warn!(reply = mask(reply), "delivery rejected");
            }
            Err(Failure { kind: FailureKind::Transient, reply }) => {
                Attempt::Deferred.count();
                tracing::info!(deferrals = delivery.deferrals + 1, reply = mask(reply), "delivery deferred");
            }
            Err(Failure { kind: FailureKind::Server, reply }) => {
                Attempt::Interrupted.count();
                let reply = mask(reply);
                if let Some(pause) = self.breaker.record_failure(started, &reply) {
                    tracing::warn!(reply, pause_s = pause.as_secs_f64(), "mail server unavailable; deliveries paused");
                }
                return;
            }
        }
        self.breaker.record_success();
    }

    async fn transmit(&self, session: &mut Option<Session>, delivery: &ClaimedDelivery) -> Result<String, Failure> {
        let draft = Draft {
            from: &self.from,
            to: &delivery.address,
            to_name: &delivery.recipient_name,
            message_id: &delivery.message_id,
            date: delivery.created_at,
            subject: &delivery.subject,
            body: &delivery.body,
        };
        let (recipient, text) = draft.build().map_err(|error| Failure { kind: FailureKind::Permanent, reply: error.to_string() })?;
        let outcome = self.send_in_session(session, &recipient, &text).await;
        if let Err(Failure { kind: FailureKind::Server, .. }) = outcome {
            *session = None;
        }
        outcome
    }

    /// Reuses the open session, if the server has not closed it.
    async fn send_in_session(&self, session: &mut Option<Session>, recipient: &lettre::Address, text: &str) -> Result<String, Failure> {
        if let Some(open) = session {
            match open.start_mail(&self.from.email, recipient).await {
                Ok(()) => return open.send_mail(recipient, text).await,
                // Servers close sessions after some time or some mails.
                Err(Failure { kind: FailureKind::Server, .. }) if !open.is_fresh() => *session = None,
                Err(failure) => return Err(failure),
            }
        }
        let open = session.insert(self.transport.connect().await?);
        open.start_mail(&self.from.email, recipient).await?;
        open.send_mail(recipient, text).await
    }
}

/// Returns the delay before the next attempt. It doubles with every deferral, and has jitter.
fn deferral(deferrals: i32) -> TimeDelta {
    let doublings = u32::try_from(deferrals).unwrap_or(0).min(20);
    let pause = DEFERRAL.0.saturating_mul(1 << doublings).min(DEFERRAL.1);
    TimeDelta::from_std(pause.mul_f64(rand::rng().random_range(0.5..1.0))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_of_a_deferred_delivery_doubles_up_to_ten_minutes() {
        for (deferrals, most) in [(0, 2), (1, 4), (5, 64), (9, 600), (1000, 600), (-1, 2)] {
            let seconds = deferral(deferrals).as_seconds_f64();
            let most = f64::from(most);
            assert!(seconds >= most / 2.0 && seconds <= most, "{deferrals}: {seconds}");
        }
    }
}
