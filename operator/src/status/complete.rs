//! Derives the condition `Complete`.

use super::{Outcome, conditions::ConditionState};
use crate::validate::Skipped;

/// Reason of `Complete` if objects or fields were skipped.
pub const SKIPPED: &str = "Skipped";

/// Derives `Complete`. `None` if it doesn't change. Skipped objects don't make a Catalog degraded, but are reported.
pub fn complete(outcome: &Outcome) -> Option<ConditionState> {
    match outcome {
        Outcome::Rejected(problems, _) => Some(ConditionState::no(problems.reason(), format!("the spec is not applied: {problems}"))),
        Outcome::Migrating { skipped, .. } | Outcome::Applied(skipped) if skipped.is_empty() => {
            Some(ConditionState::yes("NothingSkipped", "no declared object or field was skipped"))
        }
        Outcome::Migrating { skipped, .. } | Outcome::Applied(skipped) => {
            let messages: Vec<_> = skipped.iter().map(|Skipped { path, message }| format!("{path}: {message}")).collect();
            Some(ConditionState::no(SKIPPED, messages.join("; ")))
        }
        Outcome::Paused | Outcome::Failed(_) => None,
    }
}
