//! Conditions of a database whose volume is lost, or that belongs to another installation.

use super::{conditions::ConditionState, parts::Parts};
use crate::installation::{DatabaseFindings, DatabaseProblem};

/// Replaces the conditions `DatabaseReady` or `Migrated` by a problem of the database.
pub fn set_conditions(findings: &DatabaseFindings, parts: &mut Parts) {
    match &findings.problem {
        Some(problem @ DatabaseProblem::VolumeLost(_)) => parts.database = state(problem, ConditionState::no),
        Some(problem @ DatabaseProblem::OtherInstallation(_)) => parts.migrated = state(problem, ConditionState::no),
        None => {}
    }
}

/// The problem of the database for `Degraded`.
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
