//! Conditions of a database whose volume is lost, or that belongs to another installation.

use kube::ResourceExt;

use super::{conditions::ConditionState, parts::Parts};
use crate::{
    crd::Catalog,
    kinds::Kind,
    live::{Live, claims::database_claim_name},
    observed::{DatabaseFindings, DatabaseProblem},
};

/// Replaces the conditions `DatabaseReady` or `Migrated` by a problem of the database.
pub fn set_conditions(findings: &DatabaseFindings, parts: &mut Parts) {
    match &findings.problem {
        Some(problem @ DatabaseProblem::VolumeLost(_)) => {
            parts.database = to_condition(problem, ConditionState::no);
            parts.migrated = ConditionState::no("VolumeLost", "the migrated database was lost with its volume: see DatabaseReady");
        }
        Some(problem @ DatabaseProblem::OtherInstallation(_)) => parts.migrated = to_condition(problem, ConditionState::no),
        None => {}
    }
}

/// Whether the embedded database has another volume than the one that was last migrated. Its pods find no schema there, or another
/// installation, until the migration has succeeded.
pub fn has_other_volume(catalog: &Catalog, live: &Live) -> bool {
    let known = catalog.status.as_ref().and_then(|status| status.database.as_ref()?.claim_uid.as_ref());
    let claim = live.get(Kind::PersistentVolumeClaim, &database_claim_name(&catalog.name_any()));
    catalog.spec.database.embedded.is_some() && known.zip(claim).is_some_and(|(known, claim)| claim.uid().as_ref() != Some(known))
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
