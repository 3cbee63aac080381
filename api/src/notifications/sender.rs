//! Senders: each claims one delivery at a time, in a transaction that is open while the mail is on
//! its way. So a process that dies frees its mails at once.

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
    deliveries::{self, Claimed},
    gate::Gate,
    mail::{Draft, masked},
    metrics::{self, Attempt},
    transport::{Failure, Session, Transport, Verdict},
    underway::{Claim, Underway},
};
use crate::database;

/// How long a delivery waits that was written by another process, or has become due again.
const POLL: Duration = Duration::from_secs(1);
/// A session that was not used for so long is closed.
const IDLE_LIMIT: Duration = Duration::from_secs(10);
/// First and longest time until a deferred mail is tried again.
const DEFERRAL: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(10));
/// Until the database is asked again after it failed.
const DATABASE_PAUSE: Duration = Duration::from_secs(1);

/// The senders of this process. Cheap to clone.
#[derive(Clone)]
pub struct Senders(Arc<Shared>);

struct Shared {
    pool: PgPool,
    transport: Transport,
    from: Mailbox,
    gate: Gate,
    written: Arc<Notify>,
    /// Whether the last question to the database failed.
    database_lost: AtomicBool,
    underway: Underway,
}

impl Senders {
    /// `written` wakes them.
    #[must_use]
    pub fn new(pool: PgPool, transport: Transport, from: Mailbox, written: Arc<Notify>) -> Self {
        metrics::register();
        let (gate, database_lost, underway) = Default::default();
        Self(Arc::new(Shared { pool, transport, from, gate, written, database_lost, underway }))
    }

    /// What the mail server's trouble is, as of the last try.
    ///
    /// # Errors
    /// If it has any.
    pub fn check(&self) -> Result<(), String> {
        self.0.gate.trouble().map_or(Ok(()), Err)
    }

    /// One sender: sends until `stop`, then finishes the mail on its way. Waits out outages of the
    /// database and of the mail server.
    ///
    /// # Errors
    /// None: it tries on.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut session = None;
        while stop.run_until_cancelled(self.0.gate.opened()).await.is_some() {
            let written = self.0.written.notified();
            let pause = match self.0.deliver_next(&mut session).await {
                Ok(true) => continue,
                Ok(false) => {
                    self.0.ask_again().await;
                    POLL
                }
                Err(error) => {
                    // Once, not by every sender every second.
                    if !self.0.database_lost.swap(true, Ordering::Relaxed) {
                        tracing::warn!(error = %Chain(&error), "database unavailable; retrying");
                    }
                    DATABASE_PAUSE.mul_f64(rand::rng().random_range(0.5..1.0))
                }
            };
            tokio::select! {
                () = written => {}
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
            if let Some(idle) = session.take_if(|session| session.idle() > IDLE_LIMIT) {
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
    /// Asks a server that was unavailable while there is no mail to try it with: another process may have sent what was waiting.
    async fn ask_again(&self) {
        if self.gate.trouble().is_none() {
            return;
        }
        let started = Instant::now();
        match self.transport.connect().await {
            Ok(session) => {
                session.quit().await;
                self.gate.open();
            }
            Err(Failure { reply, .. }) => drop(self.gate.close(started, &reply)),
        }
    }

    /// Sends the mail that is due longest; to false when there is none.
    async fn deliver_next(&self, session: &mut Option<Session>) -> Result<bool, sqlx::Error> {
        // From when the gate was passed: what was under way when it closed again counts as one failure.
        let started = Instant::now();
        let mut tx = database::begin_by_index(&self.pool).await?;
        let claimed = deliveries::claim(&mut tx, Utc::now()).await?;
        self.database_lost.store(false, Ordering::Relaxed);
        let Some(delivery) = claimed else { return Ok(false) };
        // At this level it passes every filter. Neither address nor name is logged.
        let span = tracing::error_span!(
            "delivery",
            event_id = %delivery.event_id,
            delivery_id = delivery.id,
            recipient_id = %delivery.recipient_id,
            deferrals = delivery.deferrals,
        );
        self.deliver(tx, session, &delivery, started).instrument(span).await
    }

    /// Sends one mail and stores what became of it. To false if another sender of this process has it.
    async fn deliver(
        &self,
        mut tx: Transaction<'static, Postgres>,
        session: &mut Option<Session>,
        delivery: &Claimed,
        started: Instant,
    ) -> Result<bool, sqlx::Error> {
        let outcome = match self.underway.claim(delivery.id) {
            Claim::Send => self.transmit(session, delivery).await,
            Claim::Mark => Ok("sent, as was known only after the database came back".to_owned()),
            Claim::Leave => return Ok(false),
        };
        if outcome.is_err() {
            self.underway.forget(delivery.id);
        }
        let now = Utc::now();
        match &outcome {
            Ok(reply) => {
                self.underway.sent(delivery.id);
                deliveries::mark_sent(&mut tx, delivery.id, reply, now).await?;
            }
            Err(Failure { verdict: Verdict::Never, reply }) => deliveries::mark_refused(&mut tx, delivery.id, reply, now).await?,
            Err(Failure { verdict: Verdict::Later, reply }) => {
                deliveries::defer(&mut tx, delivery.id, reply, now + deferral(delivery.deferrals)).await?;
            }
            Err(Failure { verdict: Verdict::Server, reply }) => {
                deliveries::put_behind(&mut tx, delivery.id, reply, now).await?;
            }
        }
        tx.commit().await?;
        self.underway.forget(delivery.id);
        self.conclude(delivery, &outcome, started);
        Ok(true)
    }

    /// Tells logs, metrics and the other senders.
    fn conclude(&self, delivery: &Claimed, outcome: &Result<String, Failure>, started: Instant) {
        let quote = |reply: &str| reply.replace(&delivery.address, &masked(&delivery.address));
        match outcome {
            Ok(_) => {
                Attempt::Sent.count();
                tracing::info!("delivery sent");
            }
            Err(Failure { verdict: Verdict::Never, reply }) => {
                Attempt::Refused.count();
                tracing::warn!(reply = quote(reply), "delivery rejected");
            }
            Err(Failure { verdict: Verdict::Later, reply }) => {
                Attempt::Deferred.count();
                tracing::info!(deferrals = delivery.deferrals + 1, reply = quote(reply), "delivery deferred");
            }
            Err(Failure { verdict: Verdict::Server, reply }) => {
                Attempt::Interrupted.count();
                let reply = quote(reply);
                if let Some(pause) = self.gate.close(started, &reply) {
                    tracing::warn!(reply, pause_s = pause.as_secs_f64(), "mail server unavailable; deliveries paused");
                }
                return;
            }
        }
        self.gate.open();
    }

    async fn transmit(&self, session: &mut Option<Session>, delivery: &Claimed) -> Result<String, Failure> {
        let draft = Draft {
            from: &self.from,
            to: &delivery.address,
            to_name: &delivery.recipient_name,
            message_id: &delivery.message_id,
            date: delivery.created_at,
            subject: &delivery.subject,
            body: &delivery.body,
        };
        let (recipient, text) = draft.build().map_err(|error| Failure { verdict: Verdict::Never, reply: error.to_string() })?;
        let outcome = self.begin_and_finish(session, &recipient, &text).await;
        if let Err(Failure { verdict: Verdict::Server, .. }) = outcome {
            *session = None;
        }
        outcome
    }

    async fn begin_and_finish(&self, session: &mut Option<Session>, recipient: &lettre::Address, text: &str) -> Result<String, Failure> {
        if let Some(open) = session {
            match open.begin(&self.from.email, recipient).await {
                Ok(()) => return open.finish(recipient, text).await,
                // Servers give up sessions after some time or some mails: that is no trouble.
                Err(Failure { verdict: Verdict::Server, .. }) if !open.is_fresh() => *session = None,
                Err(failure) => return Err(failure),
            }
        }
        let open = session.insert(self.transport.connect().await?);
        open.begin(&self.from.email, recipient).await?;
        open.finish(recipient, text).await
    }
}

/// Doubles with every deferral, so that a mail never waits much longer than it has waited already.
fn deferral(deferrals: i32) -> TimeDelta {
    let doublings = u32::try_from(deferrals).unwrap_or(0).min(20);
    let pause = DEFERRAL.0.saturating_mul(1 << doublings).min(DEFERRAL.1);
    TimeDelta::from_std(pause.mul_f64(rand::rng().random_range(0.5..1.0))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deferred_mail_waits_twice_as_long_each_time_up_to_ten_minutes() {
        for (deferrals, most) in [(0, 2), (1, 4), (5, 64), (9, 600), (1000, 600), (-1, 2)] {
            let seconds = deferral(deferrals).as_seconds_f64();
            let most = f64::from(most);
            assert!(seconds >= most / 2.0 && seconds <= most, "{deferrals}: {seconds}");
        }
    }
}
