//! Conditions of a database whose volume is lost, or that belongs to another installation.

use super::{conditions::ConditionState, parts::Parts};
use crate::observed::{DatabaseFindings, DatabaseProblem};

/// Replaces the conditions `DatabaseReady` or `Migrated` by a problem of the database.
pub fn set_conditions(findings: &DatabaseFindings, parts: &mut Parts) {
    match &findings.problem {
        Some(problem @ DatabaseProblem::VolumeLost(_)) => parts.database = to_condition(problem, ConditionState::no),
        Some(problem @ DatabaseProblem::OtherInstallation(_)) => parts.migrated = to_condition(problem, ConditionState::no),
        None => {}
    }
}

/// The problem of the database for `Degraded`.
pub fn problem(findings: &DatabaseFindings) -> Option<ConditionState> {
    findings.problem.as_ref().map(|problem| to_condition(problem, ConditionState::yes))
}

fn to_condition(problem: &DatabaseProblem, constructor: fn(&str, String) -> ConditionState) -> ConditionState {
    let (DatabaseProblem::VolumeLost(message) | DatabaseProblem::OtherInstallation(message)) = problem;
    let reason = match problem {
        DatabaseProblem::VolumeLost(_) => "VolumeLost",
        DatabaseProblem::OtherInstallation(_) => "OtherInstallation",
    };
    constructor(reason, message.clone())
}
