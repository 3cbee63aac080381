//! The unit of work of a command: a transaction, the events that it appends to the outbox, and what follows its commit.

use std::ops::{Deref, DerefMut};

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Postgres, Transaction};
use uuid::Uuid;

use super::{Origin, Outbox, outbox::Draft, outbox::EventData};

/// Changes that listeners get one by one. If there are more, they get a gap, so that an import of any size needs little memory.
const MAX_CHANGES: usize = 20_000;

/// The transaction of one command by one origin, and a connection to the database. Dropping it rolls back.
#[must_use = "a unit of work that isn't committed is rolled back"]
pub struct UnitOfWork {
    transaction: Transaction<'static, Postgres>,
    outbox: Outbox,
    origin: Origin,
    now: DateTime<Utc>,
    after_commit: AfterCommit,
}

impl UnitOfWork {
    /// Starts the unit of work of `origin` at `now` in a transaction that has begun.
    pub fn new(transaction: Transaction<'static, Postgres>, outbox: &Outbox, origin: Origin, now: DateTime<Utc>) -> Self {
        Self { transaction, outbox: outbox.clone(), origin, now, after_commit: AfterCommit::default() }
    }

    /// The account and the request.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Time of the command.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// Appends an event to the outbox. The transaction must hold the aggregate's row lock, so that the outbox has the order of
    /// the commits. After the commit the event goes to the outbox's listener and to the relay.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn append<T: EventData>(&mut self, draft: Draft<T>) -> Result<(), sqlx::Error> {
        self.after_commit.changes.add_event(&draft);
        self.outbox.append(&mut self.transaction, &self.origin, self.now, draft).await
    }

    /// Appends many events with one statement, in their order. The rule of [`UnitOfWork::append`] about row locks holds for each.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn append_many<T: EventData>(&mut self, drafts: Vec<Draft<T>>) -> Result<(), sqlx::Error> {
        for draft in &drafts {
            self.after_commit.changes.add_event(draft);
        }
        self.outbox.append_many(&mut self.transaction, &self.origin, self.now, drafts).await
    }

    /// Runs `effect` after the commit, and not at all after a rollback.
    pub fn after_commit(&mut self, effect: impl FnOnce() + Send + 'static) {
        self.after_commit.effects.push(Box::new(effect));
    }

    /// Commits, passes the changes to the outbox's listener, wakes the relay, and runs the effects. If the outcome of the commit is
    /// unknown, because it failed or the request was cancelled, only the effects are left out.
    ///
    /// # Errors
    /// If the database fails. The transaction is rolled back, or its outcome is unknown because the connection was lost.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.after_commit.run(&self.outbox, self.transaction.commit()).await
    }

    /// Rolls back and waits for it. Dropping does not wait, so locks can be held for another moment.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        self.transaction.rollback().await
    }
}

impl Deref for UnitOfWork {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.transaction
    }
}

impl DerefMut for UnitOfWork {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}

/// What follows a commit.
#[derive(Default)]
struct AfterCommit {
    changes: Changes,
    effects: Vec<Box<dyn FnOnce() + Send>>,
}

impl AfterCommit {
    async fn run<E>(self, outbox: &Outbox, commit: impl Future<Output = Result<(), E>>) -> Result<(), E> {
        let Self { changes, effects } = self;
        let notification = NotifyOnDrop { changes, outbox };
        commit.await?;
        drop(notification);
        for effect in effects {
            effect();
        }
        Ok(())
    }
}

/// Notifies the listener and the relay of changes when it is dropped: also if the commit fails or its future is dropped, because
/// PostgreSQL may have committed. If it hasn't, the listener reads again and the relay finds no event.
struct NotifyOnDrop<'a> {
    changes: Changes,
    outbox: &'a Outbox,
}

impl Drop for NotifyOnDrop<'_> {
    fn drop(&mut self) {
        self.changes.notify(self.outbox);
    }
}

/// The changes of a transaction.
#[derive(Default)]
struct Changes {
    has_events: bool,
    /// Kind, aggregate and version of each change: at most one more than [`MAX_CHANGES`].
    versions: Vec<(&'static str, Uuid, i64)>,
}

impl Changes {
    fn add_event<T: EventData>(&mut self, draft: &Draft<T>) {
        self.has_events = true;
        if let Some(version) = draft.data.version()
            && self.versions.len() <= MAX_CHANGES
        {
            self.versions.push((draft.kind, draft.aggregate_id, version));
        }
    }

    fn notify(&self, outbox: &Outbox) {
        if let Some(listener) = outbox.listener() {
            if self.versions.len() > MAX_CHANGES {
                listener.gap();
            } else {
                self.versions.iter().for_each(|(kind, id, version)| listener.changed(kind, *id, *version));
            }
        }
        if self.has_events {
            outbox.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{Ready, pending, ready},
        sync::{Arc, Mutex},
    };

    use futures::FutureExt;
    use serde::Serialize;

    use super::*;
    use crate::events::Listener;

    #[derive(Serialize)]
    struct Data(Option<i64>);

    impl EventData for Data {
        fn version(&self) -> Option<i64> {
            self.0
        }
    }

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<String>>>);

    impl Log {
        fn push(&self, line: impl Into<String>) {
            self.0.lock().unwrap().push(line.into());
        }
    }

    impl Listener for Log {
        fn changed(&self, kind: &str, _: Uuid, version: i64) {
            self.push(format!("{kind} {version}"));
        }

        fn up_to_date(&self) {}

        fn gap(&self) {
            self.push("gap");
        }
    }

    /// Commits with events of these versions and an effect, until the commit ends or is pending. Returns what happened.
    fn log_of<E>(versions: impl IntoIterator<Item = Option<i64>>, commit: impl Future<Output = Result<(), E>>) -> (Vec<String>, bool) {
        let log = Log::default();
        let outbox = Outbox::new("").with_listener(log.clone());
        let mut after_commit = AfterCommit::default();
        let effect = log.clone();
        after_commit.effects.push(Box::new(move || effect.push("effect")));
        for version in versions {
            after_commit.changes.add_event(&Draft { kind: "thing.changed", aggregate_id: Uuid::nil(), data: Data(version) });
        }
        assert!(after_commit.changes.versions.len() <= MAX_CHANGES + 1);
        let commit = async {
            let result = commit.await;
            log.push("commit");
            result
        };
        let _ = after_commit.run(&outbox, commit).now_or_never();
        let lines = log.0.lock().unwrap().clone();
        (lines, outbox.woken().now_or_never().is_some())
    }

    fn succeeds() -> Ready<Result<(), ()>> {
        ready(Ok(()))
    }

    #[test]
    fn a_commit_notifies_the_listener_of_versions_wakes_the_relay_and_runs_effects() {
        let (log, is_relay_woken) = log_of([Some(2), None, Some(3)], succeeds());
        assert_eq!(log, ["commit", "thing.changed 2", "thing.changed 3", "effect"]);
        assert!(is_relay_woken);
    }

    #[test]
    fn a_failed_commit_notifies_the_listener_and_the_relay_and_runs_no_effect() {
        let (log, is_relay_woken) = log_of([Some(2)], ready(Err(())));
        assert_eq!(log, ["commit", "thing.changed 2"]);
        assert!(is_relay_woken);
    }

    #[test]
    fn a_commit_that_is_dropped_while_pending_notifies_the_listener_and_the_relay_and_runs_no_effect() {
        let (log, is_relay_woken) = log_of([Some(2)], pending::<Result<(), ()>>());
        assert_eq!(log, ["thing.changed 2"]);
        assert!(is_relay_woken);
    }

    #[test]
    fn a_commit_without_events_does_not_wake_the_relay() {
        assert_eq!(log_of([], succeeds()), (vec!["commit".to_owned(), "effect".to_owned()], false));
    }

    #[test]
    fn more_changes_than_the_limit_become_one_gap() {
        let changes = |count| log_of(std::iter::repeat_n(Some(1), count), succeeds()).0;
        assert_eq!(changes(MAX_CHANGES).len(), MAX_CHANGES + 2);
        assert_eq!(changes(MAX_CHANGES + 1), ["commit", "gap", "effect"]);
        assert_eq!(changes(MAX_CHANGES * 2), ["commit", "gap", "effect"]);
    }
}
