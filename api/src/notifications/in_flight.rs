//! Deliveries of this process whose result is not in the database yet. A connection that breaks unlocks a claimed delivery,
//! although its mail may be in flight or already delivered.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Mutex, PoisonError},
};

/// Deliveries by id: those that are being sent, and those that were sent while the database was unavailable.
#[derive(Debug, Default)]
pub(super) struct InFlight(Mutex<HashMap<i64, State>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Sending,
    Sent,
}

/// What a sender does with a delivery that it has claimed in the database.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Claim {
    Send,
    /// Another sender of this process, which lost its lock, is sending it.
    Skip,
    /// It was sent, but the database was unavailable when it had to be marked as sent.
    MarkSent,
}

impl InFlight {
    pub(super) fn claim(&self, id: i64) -> Claim {
        match self.lock().entry(id) {
            Entry::Vacant(new) => {
                new.insert(State::Sending);
                Claim::Send
            }
            Entry::Occupied(known) if *known.get() == State::Sending => Claim::Skip,
            Entry::Occupied(_) => Claim::MarkSent,
        }
    }

    /// Records that the mail server has accepted the mail.
    pub(super) fn record_sent(&self, id: i64) {
        self.lock().insert(id, State::Sent);
    }

    /// Removes a delivery whose mail was not accepted, or whose result is in the database.
    pub(super) fn remove(&self, id: i64) {
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
    fn a_mail_in_flight_is_not_sent_by_another_sender() {
        let in_flight = InFlight::default();
        assert_eq!(in_flight.claim(1), Claim::Send);
        assert_eq!(in_flight.claim(1), Claim::Skip);
        assert_eq!(in_flight.claim(2), Claim::Send);
    }

    #[test]
    fn a_sent_mail_is_only_marked_until_the_database_has_its_result() {
        let in_flight = InFlight::default();
        in_flight.claim(1);
        in_flight.record_sent(1);
        assert_eq!(in_flight.claim(1), Claim::MarkSent);
        assert_eq!(in_flight.claim(1), Claim::MarkSent);
        in_flight.remove(1);
        assert_eq!(in_flight.claim(1), Claim::Send);
    }

    #[test]
    fn a_mail_that_was_not_accepted_can_be_sent_again() {
        let in_flight = InFlight::default();
        in_flight.claim(1);
        in_flight.remove(1);
        assert_eq!(in_flight.claim(1), Claim::Send);
    }
}
