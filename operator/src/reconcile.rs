//! Reconciles one Catalog: dereference → validate → build → apply → status.

mod advance;
mod attempt;
mod diagnose;
mod installation;
mod limits;
mod notices;
mod report;
mod requeue;
mod restore;
mod unreadable;

use std::sync::Arc;

use jiff::Timestamp;
use kube::{Client, ResourceExt, runtime::controller::Action};
use rand::RngExt;

pub use self::unreadable::report_unreadable;
use self::{limits::Limits, report::Reported, requeue::requeue_after};
use crate::{crd::Catalog, error::Error, live::Live, mail::MailReports, status::Outcome};

/// Client, clock and state that all reconciles share.
#[derive(Clone)]
pub struct Context {
    client: Client,
    limits: Arc<Limits>,
    mail: MailReports,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Context {
    /// Creates a context with the system clock.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { limits: Arc::default(), mail: MailReports::default(), client, clock: Arc::new(Timestamp::now) }
    }

    /// Reports of notifiers about the mail server.
    #[must_use]
    pub fn mail(&self) -> &MailReports {
        &self.mail
    }

    /// Replaces the clock.
    #[must_use]
    pub fn with_clock(self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

/// Applies as much of the Catalog as possible now, and writes its status.
///
/// # Errors
/// If the reconcile failed and must be retried. The status reports the error, unless the status could not be written.
pub async fn reconcile(catalog: Arc<Catalog>, context: Arc<Context>) -> Result<Action, Error> {
    // The garbage collector deletes its objects by their owner references.
    if catalog.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let namespace = catalog.namespace().unwrap_or_default();
    let mut live = Live::default();
    // Boxed, because the future is large.
    let mut outcome = Box::pin(attempt::attempt(&catalog, &context, &namespace, &mut live)).await.unwrap_or_else(Outcome::Failed);
    if matches!(&outcome, Outcome::Failed(error) if error.is_conflict()) {
        // Another client wrote an object after it was read. A retry usually succeeds, so the status doesn't report the conflict.
        outcome = Box::pin(attempt::attempt(&catalog, &context, &namespace, &mut live)).await.unwrap_or_else(Outcome::Failed);
    }
    let reported = report::report(&catalog, &context, &namespace, &live, &outcome).await;
    match outcome {
        Outcome::Failed(error) | Outcome::Rejected(_, Some(error)) => Err(error),
        Outcome::Paused | Outcome::Rejected(_, None) | Outcome::Migrating { .. } | Outcome::Applied(_) => {
            let Reported { status, until_change } = reported?;
            Ok(Action::requeue(requeue_after(&status, until_change, context.now(), rand::rng().random_range(0.0..1.0))))
        }
    }
}
