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
        fn push(&self, line: String) {
            self.0.lock().unwrap().push(line);
        }

        fn lines(&self) -> Vec<String> {
            self.0.lock().unwrap().clone()
        }
    }

    impl Listener for Log {
        fn changed(&self, kind: &str, _: Uuid, version: i64) {
            self.push(format!("{kind} {version}"));
        }

        fn answered(&self) {}

        fn gap(&self) {
            self.push("gap".into());
        }
    }

    fn event(version: Option<i64>) -> Draft<Data> {
        Draft { kind: "thing.changed", aggregate_id: Uuid::nil(), data: Data(version) }
    }

    fn logged_outbox() -> (Log, Outbox) {
        let log = Log::default();
        (log.clone(), Outbox::new("").with_listener(log))
    }

    #[test]
    fn a_commit_notifies_the_listener_of_versions_then_wakes_the_relay_and_runs_effects() {
        let (log, outbox) = logged_outbox();
        let mut after_commit = AfterCommit::default();
        let effect = log.clone();
        after_commit.effects.push(Box::new(move || effect.push("effect".into())));
        for version in [Some(2), None, Some(3)] {
            after_commit.add_event(&event(version));
        }
        assert!(log.lines().is_empty(), "nothing happens before the commit");
        after_commit.run(&outbox);
        assert_eq!(log.lines(), ["thing.changed 2", "thing.changed 3", "effect"]);
        assert!(outbox.woken().now_or_never().is_some(), "the relay is woken");
    }

    #[test]
    fn a_rollback_has_no_effects() {
        let (log, outbox) = logged_outbox();
        let mut after_commit = AfterCommit::default();
        let effect = log.clone();
        after_commit.effects.push(Box::new(move || effect.push("effect".into())));
        after_commit.add_event(&event(Some(2)));
        drop(after_commit);
        assert!(log.lines().is_empty());
        assert!(outbox.woken().now_or_never().is_none());
    }

    #[test]
    fn a_commit_without_events_does_not_wake_the_relay() {
        let (_, outbox) = logged_outbox();
        AfterCommit::default().run(&outbox);
        assert!(outbox.woken().now_or_never().is_none());
    }

    #[test]
    fn more_changes_than_the_limit_become_one_gap() {
        let (log, outbox) = logged_outbox();
        let mut after_commit = AfterCommit::default();
        (0..MAX_CHANGES).for_each(|_| after_commit.add_event(&event(Some(1))));
        after_commit.run(&outbox);
        assert_eq!(log.lines().len(), MAX_CHANGES);

        let (log, outbox) = logged_outbox();
        let mut after_commit = AfterCommit::default();
        (0..2 * MAX_CHANGES).for_each(|_| after_commit.add_event(&event(Some(1))));
        assert!(after_commit.changes.len() <= MAX_CHANGES + 1);
        after_commit.run(&outbox);
        assert_eq!(log.lines(), ["gap"]);
    }
}
