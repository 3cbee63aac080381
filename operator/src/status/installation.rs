//! A database whose volume is lost, or that is another installation.

use super::{conditions::Verdict, parts::Parts};
use crate::installation::{DatabaseFindings, DatabaseProblem};

/// Puts what is wrong with the database into the conditions of its parts.
pub fn judge(findings: &DatabaseFindings, parts: &mut Parts) {
    match &findings.problem {
        Some(problem @ DatabaseProblem::VolumeLost(_)) => parts.database = verdict(problem, Verdict::no),
        Some(problem @ DatabaseProblem::OtherInstallation(_)) => parts.migrated = verdict(problem, Verdict::no),
        None => {}
    }
}

/// What `Degraded` says of the database.
pub fn problem(findings: &DatabaseFindings) -> Option<Verdict> {
    findings.problem.as_ref().map(|problem| verdict(problem, Verdict::yes))
}

fn verdict(problem: &DatabaseProblem, verdict: fn(&str, String) -> Verdict) -> Verdict {
    let (DatabaseProblem::VolumeLost(message) | DatabaseProblem::OtherInstallation(message)) = problem;
    let reason = match problem {
        DatabaseProblem::VolumeLost(_) => "VolumeLost",
        DatabaseProblem::OtherInstallation(_) => "OtherInstallation",
    };
    verdict(reason, message.clone())
}
