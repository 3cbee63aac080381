//! Makes what one Catalog declares true: dereference → validate → build → apply → status.

mod attempt;
mod diagnose;
mod installation;
mod limits;
mod notices;
mod pause;
mod report;
mod restore;

use std::sync::Arc;

use jiff::Timestamp;
use kube::{Client, ResourceExt, runtime::controller::Action};
use rand::RngExt;

use self::{limits::Limits, pause::pause, report::Reported};
use crate::{crd::Catalog, error::Error, live::Live, mail::MailReports, status::Outcome};

/// What every reconcile needs.
#[derive(Clone)]
pub struct Context {
    client: Client,
    limits: Arc<Limits>,
    mail: MailReports,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Context {
    /// With the clock of this machine.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { limits: Arc::default(), mail: MailReports::default(), client, clock: Arc::new(Timestamp::now) }
    }

    /// What notifiers report of the mail server.
    #[must_use]
    pub fn mail(&self) -> &MailReports {
        &self.mail
    }

    /// With another clock.
    #[must_use]
    pub fn with_clock(self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

/// Makes what the Catalog declares true, as far as can be done now, and reports how that went.
///
/// # Errors
/// If it didn't come to its end, and has to be tried again. The status says so by then, if it could be written.
pub async fn reconcile(catalog: Arc<Catalog>, context: Arc<Context>) -> Result<Action, Error> {
    // Owner references clean up behind it.
    if catalog.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let namespace = catalog.namespace().unwrap_or_default();
    let mut live = Live::default();
    // On the heap, where it is only while it runs: it is large.
    let mut outcome = Box::pin(attempt::attempt(&catalog, &context, &namespace, &mut live)).await.unwrap_or_else(Outcome::Failed);
    if matches!(&outcome, Outcome::Failed(error) if error.is_conflict()) {
        // An object was written by another client after it was read: no failure that the status has to report.
        outcome = Box::pin(attempt::attempt(&catalog, &context, &namespace, &mut live)).await.unwrap_or_else(Outcome::Failed);
    }
    let reported = report::report(&catalog, &context, &namespace, &live, &outcome).await;
    match outcome {
        Outcome::Failed(error) | Outcome::Refused(_, Some(error)) => Err(error),
        Outcome::Paused | Outcome::Refused(_, None) | Outcome::Migrating { .. } | Outcome::Applied(_) => {
            let Reported { status, until_change } = reported?;
            Ok(Action::requeue(pause(&status, until_change, context.now(), rand::rng().random_range(0.0..1.0))))
        }
    }
}
