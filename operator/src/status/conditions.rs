//! Conditions according to the Kubernetes API conventions ("Typical status properties").

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Maximum length of a message, from the definition of `Condition`.
const MAX_MESSAGE: usize = 32_768;

/// Reason of the conditions of a Catalog that cannot be deserialised.
pub const UNREADABLE: &str = "InvalidSpec";

/// Status, reason and message of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionState {
    /// Whether the condition is True.
    pub holds: bool,
    /// Reason in `CamelCase`.
    pub reason: String,
    /// Text for users.
    pub message: String,
}

impl ConditionState {
    /// A condition that is True.
    pub fn yes(reason: &str, message: impl Into<String>) -> Self {
        Self { holds: true, reason: reason.into(), message: message.into() }
    }

    /// A condition that is False.
    pub fn no(reason: &str, message: impl Into<String>) -> Self {
        Self { holds: false, reason: reason.into(), message: message.into() }
    }
}

/// Builder of the conditions of one status.
pub struct Conditions<'a> {
    before: &'a [Condition],
    generation: Option<i64>,
    now: Timestamp,
    set: Vec<Condition>,
}

impl<'a> Conditions<'a> {
    /// Starts from the conditions `before`. `generation` is that of the spec.
    pub fn new(before: &'a [Condition], generation: Option<i64>, now: Timestamp) -> Self {
        Self { before, generation, now, set: Vec::new() }
    }

    /// Sets a condition. Its transition time changes only with its status.
    pub fn set(&mut self, kind: &str, state: &ConditionState) {
        self.write(kind, if state.holds { "True" } else { "False" }, state);
    }

    /// Sets a condition to Unknown.
    pub fn set_unknown(&mut self, kind: &str, state: &ConditionState) {
        self.write(kind, "Unknown", state);
    }

    /// Sets a condition that is True or False to the same state for the current generation. Returns whether it is.
    pub fn confirm(&mut self, kind: &str) -> bool {
        let Some(before) = self.before(kind).filter(|before| before.status != "Unknown") else { return false };
        self.set.push(Condition { observed_generation: self.generation, ..before.clone() });
        true
    }

    fn write(&mut self, kind: &str, status: &str, state: &ConditionState) {
        let same = self.before.iter().find(|before| before.type_ == kind && before.status == status);
        let mut message = state.message.clone();
        message.truncate(message.floor_char_boundary(MAX_MESSAGE));
        self.set.push(Condition {
            type_: kind.into(),
            status: status.into(),
            reason: state.reason.clone(),
            message,
            observed_generation: self.generation,
            last_transition_time: same.map_or(Time(self.now), |same| same.last_transition_time.clone()),
        });
    }

    /// Keeps a condition of `before`, or sets it to Unknown if there is none.
    pub fn keep(&mut self, kind: &str) {
        let is_known = |before: &&Condition| before.status != "Unknown" || before.reason != UNREADABLE;
        match self.before(kind).filter(is_known) {
            Some(before) => self.set.push(before.clone()),
            None => self.set_unknown(kind, &ConditionState::no("NotRead", "its objects could not be read yet: see Ready")),
        }
    }

    /// The condition of `before`.
    pub fn before(&self, kind: &str) -> Option<&'a Condition> {
        self.before.iter().find(|before| before.type_ == kind)
    }

    /// Returns the conditions, with `Ready`, `Progressing` and `Degraded` first.
    pub fn finish(mut self) -> Vec<Condition> {
        self.set.sort_by_key(|condition| !matches!(condition.type_.as_str(), "Ready" | "Progressing" | "Degraded"));
        self.set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transition_time_changes_only_with_the_status() {
        let (first, second) = ("2026-01-01T00:00:00Z".parse().unwrap(), "2026-01-02T00:00:00Z".parse().unwrap());
        let set = |before: &[Condition], now, state: &ConditionState| {
            let mut conditions = Conditions::new(before, Some(1), now);
            conditions.set("Ready", state);
            conditions.finish()
        };
        let before = set(&[], first, &ConditionState::no("Starting", "wait"));
        let other_reason = set(&before, second, &ConditionState::no("StillStarting", "wait"));
        assert_eq!(other_reason[0].last_transition_time, Time(first));
        let other_status = set(&other_reason, second, &ConditionState::yes("Ready", ""));
        assert_eq!(other_status[0].last_transition_time, Time(second));
    }
}
