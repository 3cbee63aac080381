//! A database whose volume is lost, or that is another installation.

use super::{Outcome, conditions::Verdict, parts::Parts};
use crate::installation::{DatabaseFindings, DatabaseProblem};

/// Puts what is wrong with the database into the conditions of its parts.
pub fn judge(findings: &DatabaseFindings, parts: &mut Parts) {
    match &findings.problem {
        Some(problem @ DatabaseProblem::VolumeLost(_)) => parts.database = verdict(problem, Verdict::no),
        Some(problem @ DatabaseProblem::OtherInstallation(_)) => parts.migrated = verdict(problem, Verdict::no),
        None => {}
    }
}

/// What `Degraded` says of the database, unless the reconcile itself didn't come to its end.
pub fn problem(findings: &DatabaseFindings, outcome: &Outcome) -> Option<Verdict> {
    let problem = findings.problem.as_ref()?;
    match outcome {
        Outcome::Refused(..) | Outcome::Failed(_) => None,
        Outcome::Paused | Outcome::Migrating { .. } | Outcome::Applied(_) => Some(verdict(problem, Verdict::yes)),
    }
}

fn verdict(problem: &DatabaseProblem, verdict: fn(&str, String) -> Verdict) -> Verdict {
    let (DatabaseProblem::VolumeLost(message) | DatabaseProblem::OtherInstallation(message)) = problem;
    let reason = match problem {
        DatabaseProblem::VolumeLost(_) => "VolumeLost",
        DatabaseProblem::OtherInstallation(_) => "OtherInstallation",
    };
    verdict(reason, message.clone())
}
