//! Derives the condition `Complete`.

use jiff::Timestamp;
use kube::ResourceExt;

use super::{
    Outcome,
    conditions::{ConditionState, Conditions},
    last_applied,
};
use crate::{
    crd::Catalog,
    live::{Live, deployment_names},
    secrets::BlockedRotation,
    validate::{Skipped, requested_database_rotation},
};

/// The condition `Complete`.
pub const CONDITION: &str = "Complete";
/// Reason if objects, fields or annotations were skipped.
pub const SKIPPED: &str = "Skipped";
/// Reason if an object blocks a rotation of the database password.
pub const ROTATION_BLOCKED: &str = "RotationBlocked";
const NOTHING_SKIPPED: &str = "NothingSkipped";

/// Sets `Complete`. It is Unknown until the spec was applied, also while its migration runs or the Catalog is paused with another spec.
pub fn set_condition(conditions: &mut Conditions<'_>, catalog: &Catalog, live: &Live, outcome: &Outcome, now: Timestamp) {
    let is_current = last_applied::is_current(catalog);
    let blocked = blocked_rotation(catalog, live, now).filter(|blocked| blocked.report_at <= now);
    let results = [SKIPPED, ROTATION_BLOCKED, NOTHING_SKIPPED];
    let has_result = conditions.before(CONDITION).is_some_and(|before| results.contains(&before.reason.as_str()));
    match (outcome, blocked) {
        (Outcome::Migrating { skipped, .. }, None) if skipped.is_empty() && !is_current => {
            let message = format!("the spec is applied when its migration has succeeded; {}", last_generation(catalog));
            conditions.set_unknown(CONDITION, &ConditionState::no("Migrating", message));
        }
        (Outcome::Applied(skipped) | Outcome::Migrating { skipped, .. }, blocked) => conditions.set(CONDITION, &complete(skipped, blocked)),
        (Outcome::Paused, _) => {
            if !(has_result && is_current && conditions.confirm(CONDITION)) {
                conditions.set_unknown(CONDITION, &paused(catalog, is_current));
            }
        }
        (Outcome::Rejected(problems, _), blocked) => {
            let blocked = blocked.map_or_else(String::new, |blocked| format!("; {}", blocked.message));
            conditions.set(CONDITION, &ConditionState::no(problems.reason(), format!("the spec is not applied: {problems}{blocked}")));
        }
        (Outcome::Failed(_), blocked @ Some(_)) => conditions.set(CONDITION, &complete(&[], blocked)),
        (Outcome::Failed(_), None) if has_result => conditions.keep(CONDITION),
        (Outcome::Failed(_), None) => {
            let message = format!("the spec is not applied in full: see Degraded; {}", last_generation(catalog));
            conditions.set_unknown(CONDITION, &ConditionState::no("Retrying", message));
        }
    }
}

/// The rotation of the embedded database's password that is or will be blocked.
#[must_use]
pub fn blocked_rotation(catalog: &Catalog, live: &Live, now: Timestamp) -> Option<BlockedRotation> {
    catalog.spec.database.embedded.as_ref()?;
    let name = catalog.name_any();
    let data = live.secret(&format!("{name}-postgres"))?.data?;
    BlockedRotation::find(live, deployment_names(&name), &data, requested_database_rotation(catalog), now)
}

/// Skipped objects and a blocked rotation don't make a Catalog degraded, but are reported.
fn complete(skipped: &[Skipped], blocked: Option<BlockedRotation>) -> ConditionState {
    let reason = if blocked.is_some() { ROTATION_BLOCKED } else { SKIPPED };
    let skipped = skipped.iter().map(|Skipped { path, message }| format!("{path}: {message}"));
    let messages: Vec<_> = blocked.map(|blocked| blocked.message).into_iter().chain(skipped).collect();
    if messages.is_empty() {
        return ConditionState::yes(NOTHING_SKIPPED, "no declared object or field was skipped");
    }
    ConditionState::no(reason, messages.join("; "))
}

fn paused(catalog: &Catalog, is_current: bool) -> ConditionState {
    let effect = if is_current { "what of the spec was skipped is not known" } else { "the spec is not applied" };
    ConditionState::no("Paused", format!("{effect} while spec.paused is true; {}", last_generation(catalog)))
}

fn last_generation(catalog: &Catalog) -> String {
    let last = catalog.status.as_ref().and_then(|status| status.last_applied.as_ref()?.observed_generation);
    last.map_or_else(
        || "no generation was applied in full yet".to_owned(),
        |generation| format!("generation {generation} was applied last"),
    )
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

    use super::*;
    use crate::{
        build::samples,
        status::status,
        validate::{Problems, Reason},
    };

    fn now() -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1)
    }

    /// Reconciles with this outcome, and returns `Complete`.
    fn reconcile(catalog: &mut Catalog, outcome: &Outcome) -> Condition {
        catalog.status = Some(status(catalog, &Live::of([]), outcome, None, now()));
        let conditions = &catalog.status.as_ref().unwrap().conditions;
        conditions.iter().find(|condition| condition.type_ == CONDITION).unwrap().clone()
    }

    fn edit(catalog: &mut Catalog, generation: i64, change: impl FnOnce(&mut Catalog)) {
        catalog.metadata.generation = Some(generation);
        change(catalog);
    }

    fn state(condition: &Condition) -> (&str, &str, Option<i64>) {
        (&condition.status, &condition.reason, condition.observed_generation)
    }

    fn migrating() -> Outcome {
        Outcome::Migrating { job: "shop-migrate-1".into(), skipped: Vec::new() }
    }

    fn failed() -> Outcome {
        Outcome::Failed(crate::error::Error::name_taken(crate::kinds::Kind::Service, "shop-api", "foreign".into()))
    }

    fn rejected() -> Outcome {
        let problem = crate::validate::Problem { path: "spec".into(), reason: Reason::InvalidValue, message: "wrong".into() };
        Outcome::Rejected(Problems(vec![problem]), None)
    }

    #[test]
    fn complete_is_unknown_until_a_spec_was_applied() {
        for (outcome, reason) in [(Outcome::Paused, "Paused"), (failed(), "Retrying"), (migrating(), "Migrating")] {
            let (mut catalog, _) = samples::minimal_input();
            catalog.metadata.generation = Some(1);
            assert_eq!(state(&reconcile(&mut catalog, &outcome)), ("Unknown", reason, Some(1)), "{outcome:?}");
            assert_eq!(state(&reconcile(&mut catalog, &Outcome::Applied(Vec::new()))).0, "True", "after {outcome:?}");
        }
    }

    #[test]
    fn complete_of_an_edited_spec_is_unknown_until_its_migration_has_succeeded() {
        let (mut catalog, _) = samples::minimal_input();
        catalog.metadata.generation = Some(1);
        reconcile(&mut catalog, &Outcome::Applied(Vec::new()));
        assert_eq!(state(&reconcile(&mut catalog, &migrating())), ("True", "NothingSkipped", Some(1)), "the spec is the applied one");
        edit(&mut catalog, 2, |catalog| catalog.spec.api.replicas = Some(7));
        let pending = reconcile(&mut catalog, &migrating());
        assert_eq!(state(&pending), ("Unknown", "Migrating", Some(2)));
        assert_eq!(pending.message, "the spec is applied when its migration has succeeded; generation 1 was applied last");
        assert_eq!(state(&reconcile(&mut catalog, &Outcome::Applied(Vec::new()))), ("True", "NothingSkipped", Some(2)));
    }

    #[test]
    fn the_cause_of_a_rejection_is_not_kept_when_a_later_attempt_fails() {
        let (mut catalog, _) = samples::minimal_input();
        catalog.metadata.generation = Some(1);
        reconcile(&mut catalog, &Outcome::Applied(Vec::new()));
        assert_eq!(state(&reconcile(&mut catalog, &failed())), ("True", "NothingSkipped", Some(1)));
        edit(&mut catalog, 2, |_| {});
        reconcile(&mut catalog, &rejected());
        assert_eq!(state(&reconcile(&mut catalog, &failed())), ("Unknown", "Retrying", Some(2)));
    }

    #[test]
    fn complete_of_a_rejected_spec_is_false_with_the_reason() {
        let (mut catalog, _) = samples::minimal_input();
        catalog.metadata.generation = Some(1);
        reconcile(&mut catalog, &Outcome::Applied(Vec::new()));
        edit(&mut catalog, 2, |_| {});
        assert_eq!(state(&reconcile(&mut catalog, &rejected())), ("False", "InvalidValue", Some(2)));
        assert_eq!(state(&reconcile(&mut catalog, &Outcome::Paused)), ("Unknown", "Paused", Some(2)), "the reason may not apply any more");
    }

    #[test]
    fn complete_of_a_paused_catalog_is_unknown_while_its_spec_differs_from_the_applied_one() {
        let (mut catalog, _) = samples::minimal_input();
        catalog.metadata.generation = Some(1);
        let skipped = Skipped { path: "spec.tracker".into(), message: "KEDA is not installed".into() };
        reconcile(&mut catalog, &Outcome::Applied(vec![skipped]));
        edit(&mut catalog, 2, |catalog| catalog.spec.paused = true);
        let paused = reconcile(&mut catalog, &Outcome::Paused);
        assert_eq!(state(&paused), ("False", "Skipped", Some(2)), "the spec is as applied");
        assert_eq!(paused.message, "spec.tracker: KEDA is not installed");
        edit(&mut catalog, 3, |catalog| catalog.spec.api.replicas = Some(7));
        let edited = reconcile(&mut catalog, &Outcome::Paused);
        assert_eq!(state(&edited), ("Unknown", "Paused", Some(3)));
        assert_eq!(edited.message, "the spec is not applied while spec.paused is true; generation 1 was applied last");
    }
}
