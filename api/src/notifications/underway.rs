//! What this process knows of its mails when the database forgets: a connection that breaks frees a
//! claimed delivery, though its mail may be on its way or even delivered.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Mutex, PoisonError},
};

/// Deliveries of this process that are not concluded, by id. No more than there are senders, and
/// those that were sent while the database was away.
#[derive(Debug, Default)]
pub(super) struct Underway(Mutex<HashMap<i64, State>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Sending,
    Sent,
}

/// What is to be done with a delivery that was claimed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// Send it.
    Send,
    /// Leave it: another sender of this process is sending it, and has lost its lock.
    Leave,
    /// Mark it: it was sent, and the database could not be told.
    Mark,
}

impl Underway {
    /// A sender has claimed a delivery.
    pub(super) fn claim(&self, id: i64) -> Claim {
        match self.lock().entry(id) {
            Entry::Vacant(new) => {
                new.insert(State::Sending);
                Claim::Send
            }
            Entry::Occupied(known) if *known.get() == State::Sending => Claim::Leave,
            Entry::Occupied(_) => Claim::Mark,
        }
    }

    /// The mail server has it.
    pub(super) fn sent(&self, id: i64) {
        self.lock().insert(id, State::Sent);
    }

    /// The mail server has it not, or the database knows that it has.
    pub(super) fn forget(&self, id: i64) {
        self.lock().remove(&id);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<i64, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_on_its_way_is_not_sent_by_another_sender_that_got_its_lock() {
        let underway = Underway::default();
        assert_eq!(underway.claim(1), Claim::Send);
        assert_eq!(underway.claim(1), Claim::Leave);
        assert_eq!(underway.claim(2), Claim::Send);
    }

    #[test]
    fn a_mail_that_was_sent_is_only_marked_until_the_database_knows() {
        let underway = Underway::default();
        underway.claim(1);
        underway.sent(1);
        assert_eq!(underway.claim(1), Claim::Mark);
        assert_eq!(underway.claim(1), Claim::Mark);
        underway.forget(1);
        assert_eq!(underway.claim(1), Claim::Send);
    }

    #[test]
    fn a_mail_that_was_not_taken_can_be_sent_again() {
        let underway = Underway::default();
        underway.claim(1);
        underway.forget(1);
        assert_eq!(underway.claim(1), Claim::Send);
    }
}
