//! A database whose volume is lost, or that is another installation.

use super::{conditions::ConditionState, parts::Parts};
use crate::installation::{DatabaseFindings, DatabaseProblem};

/// Puts what is wrong with the database into the conditions of its parts.
pub fn judge(findings: &DatabaseFindings, parts: &mut Parts) {
    match &findings.problem {
        Some(problem @ DatabaseProblem::VolumeLost(_)) => parts.database = state(problem, ConditionState::no),
        Some(problem @ DatabaseProblem::OtherInstallation(_)) => parts.migrated = state(problem, ConditionState::no),
        None => {}
    }
}

/// What `Degraded` says of the database.
pub fn problem(findings: &DatabaseFindings) -> Option<ConditionState> {
    findings.problem.as_ref().map(|problem| state(problem, ConditionState::yes))
}

fn state(problem: &DatabaseProblem, state: fn(&str, String) -> ConditionState) -> ConditionState {
    let (DatabaseProblem::VolumeLost(message) | DatabaseProblem::OtherInstallation(message)) = problem;
    let reason = match problem {
        DatabaseProblem::VolumeLost(_) => "VolumeLost",
        DatabaseProblem::OtherInstallation(_) => "OtherInstallation",
    };
    state(reason, message.clone())
}
