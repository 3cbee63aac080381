//! Conditions, as the Kubernetes API conventions want them ("Typical status properties").

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Longest message that the definition of `Condition` allows.
const MAX_MESSAGE: usize = 32_768;

/// Whether something holds, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionState {
    /// Whether it does.
    pub holds: bool,
    /// A word in `CamelCase`.
    pub reason: String,
    /// For people.
    pub message: String,
}

impl ConditionState {
    /// It holds.
    pub fn yes(reason: &str, message: impl Into<String>) -> Self {
        Self { holds: true, reason: reason.into(), message: message.into() }
    }

    /// It doesn't.
    pub fn no(reason: &str, message: impl Into<String>) -> Self {
        Self { holds: false, reason: reason.into(), message: message.into() }
    }
}

/// The conditions of one status, as they are set.
pub struct Conditions<'a> {
    before: &'a [Condition],
    generation: Option<i64>,
    now: Timestamp,
    set: Vec<Condition>,
}

impl<'a> Conditions<'a> {
    /// After `before`, about the spec of that generation.
    pub fn new(before: &'a [Condition], generation: Option<i64>, now: Timestamp) -> Self {
        Self { before, generation, now, set: Vec::new() }
    }

    /// Sets one. Its time changes only with its status.
    pub fn set(&mut self, kind: &str, state: &ConditionState) {
        self.write(kind, if state.holds { "True" } else { "False" }, state);
    }

    /// Sets one to Unknown.
    pub fn set_unknown(&mut self, kind: &str, reason: &str, message: &str) {
        self.write(kind, "Unknown", &ConditionState::no(reason, message));
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

    /// Leaves one as it was.
    pub fn keep(&mut self, kind: &str) {
        self.set.extend(self.before(kind).cloned());
    }

    /// One as it was.
    pub fn before(&self, kind: &str) -> Option<&'a Condition> {
        self.before.iter().find(|before| before.type_ == kind)
    }

    /// All that were set, `Ready` first.
    pub fn finish(mut self) -> Vec<Condition> {
        self.set.sort_by_key(|condition| !matches!(condition.type_.as_str(), "Ready" | "Progressing" | "Degraded"));
        self.set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_condition_is_when_its_status_changed() {
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
