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
        self.after_commit.add_event(&draft);
        self.outbox.append(&mut self.transaction, &self.origin, self.now, draft).await
    }

    /// Appends many events with one statement, in their order. The rule of [`UnitOfWork::append`] about row locks holds for each.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn append_many<T: EventData>(&mut self, drafts: Vec<Draft<T>>) -> Result<(), sqlx::Error> {
        for draft in &drafts {
            self.after_commit.add_event(draft);
        }
        self.outbox.append_many(&mut self.transaction, &self.origin, self.now, drafts).await
    }

    /// Runs `effect` after the commit, and not at all after a rollback.
    pub fn after_commit(&mut self, effect: impl FnOnce() + Send + 'static) {
        self.after_commit.effects.push(Box::new(effect));
    }

    /// Commits. Then passes the changes to the outbox's listener, wakes the relay, and runs the effects.
    ///
    /// # Errors
    /// If the database fails. The transaction is rolled back, or its outcome is unknown because the connection was lost.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.transaction.commit().await?;
        self.after_commit.run(&self.outbox);
        Ok(())
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
    has_events: bool,
    /// Kind, aggregate and version of each change: at most one more than [`MAX_CHANGES`].
    changes: Vec<(&'static str, Uuid, i64)>,
    effects: Vec<Box<dyn FnOnce() + Send>>,
}

impl AfterCommit {
    fn add_event<T: EventData>(&mut self, draft: &Draft<T>) {
        self.has_events = true;
        if let Some(version) = draft.data.version()
            && self.changes.len() <= MAX_CHANGES
        {
            self.changes.push((draft.kind, draft.aggregate_id, version));
        }
    }

    fn run(self, outbox: &Outbox) {
        if let Some(listener) = outbox.listener() {
            if self.changes.len() > MAX_CHANGES {
                listener.gap();
            } else {
                self.changes.iter().for_each(|(kind, id, version)| listener.changed(kind, *id, *version));
            }
        }
        if self.has_events {
            outbox.wake();
        }
        self.effects.into_iter().for_each(|effect| effect());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures::FutureExt;
    use serde::Serialize;

    use super::*;
    use crate::events::feed::Listener;

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

    /// Runs `end` on what follows a commit with events of these versions and an effect. Returns what happened.
    fn log_of(versions: impl IntoIterator<Item = Option<i64>>, end: impl FnOnce(AfterCommit, &Outbox)) -> (Vec<String>, bool) {
        let log = Log::default();
        let outbox = Outbox::new("").with_listener(log.clone());
        let mut after_commit = AfterCommit::default();
        let effect = log.clone();
        after_commit.effects.push(Box::new(move || effect.push("effect")));
        for version in versions {
            after_commit.add_event(&Draft { kind: "thing.changed", aggregate_id: Uuid::nil(), data: Data(version) });
        }
        assert!(after_commit.changes.len() <= MAX_CHANGES + 1);
        end(after_commit, &outbox);
        let lines = log.0.lock().unwrap().clone();
        (lines, outbox.woken().now_or_never().is_some())
    }

    #[test]
    fn a_commit_notifies_the_listener_of_versions_wakes_the_relay_and_runs_effects() {
        let (log, is_relay_woken) = log_of([Some(2), None, Some(3)], AfterCommit::run);
        assert_eq!(log, ["thing.changed 2", "thing.changed 3", "effect"]);
        assert!(is_relay_woken);
    }

    #[test]
    fn a_rollback_has_no_effect() {
        assert_eq!(log_of([Some(2)], |after_commit, _| drop(after_commit)), (Vec::new(), false));
    }

    #[test]
    fn a_commit_without_events_does_not_wake_the_relay() {
        assert_eq!(log_of([], AfterCommit::run), (vec!["effect".to_owned()], false));
    }

    #[test]
    fn more_changes_than_the_limit_become_one_gap() {
        let changes = |count| log_of(std::iter::repeat_n(Some(1), count), AfterCommit::run).0;
        assert_eq!(changes(MAX_CHANGES).len(), MAX_CHANGES + 1);
        assert_eq!(changes(MAX_CHANGES + 1), ["gap", "effect"]);
        assert_eq!(changes(MAX_CHANGES * 2), ["gap", "effect"]);
    }
}
