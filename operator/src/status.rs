//! Derives the status of a Catalog from its spec, the live objects and the outcome of the reconcile, without a client or clock.

mod autoscaling;
mod claims;
mod conditions;
mod containers;
mod controllers;
mod degraded;
mod events;
mod installation;
mod issue;
mod issues;
pub mod last_applied;
mod mail;
pub mod messaging;
mod parts;
mod pods;
mod signing_keys;
pub mod unreadable;
mod zero_replicas;

use jiff::Timestamp;
use kube::ResourceExt;

pub use autoscaling::keda_due_at;
pub use conditions::UNREADABLE;
pub use issue::Issue;
pub use issues::{Issues, uids_needing_events};

use self::{
    conditions::{ConditionState, Conditions},
    mail::MailStatus,
    parts::Parts,
};
use crate::{
    crd::{Catalog, CatalogStatus, LastApplied, Replicas},
    error::Error,
    live::Live,
    validate::{Problems, Skipped},
};

/// The outcome of a reconcile.
#[derive(Debug)]
pub enum Outcome {
    /// Nothing was applied, because the Catalog is paused.
    Paused,
    /// The spec is rejected. With the error of restoring the last applied spec, if there was one.
    Rejected(Problems, Option<Error>),
    /// The migration must succeed before the workloads are applied.
    Migrating {
        /// Name of the migration Job.
        job: String,
        /// Skipped objects and fields.
        skipped: Vec<Skipped>,
    },
    /// Everything is applied, except for the skipped objects and fields.
    Applied(Vec<Skipped>),
    /// The reconcile failed and is retried.
    Failed(Error),
}

/// Derives the status of `catalog`. `issues` is `None` if pods could not be listed.
#[must_use]
pub fn status(catalog: &Catalog, live: &Live, outcome: &Outcome, issues: Option<&Issues>, now: Timestamp) -> CatalogStatus {
    let migration = match outcome {
        Outcome::Migrating { job, .. } => Some(job.as_str()),
        Outcome::Paused | Outcome::Rejected(..) | Outcome::Applied(_) | Outcome::Failed(_) => None,
    };
    let mut parts = Parts::of(catalog, live, migration, issues.unwrap_or(&Issues::default()));
    installation::set_conditions(&live.database, &mut parts);
    let messaging = messaging::volume(catalog, live, now);
    messaging::append_replacement(messaging.as_ref(), &mut parts.messaging);
    if let Outcome::Migrating { skipped, .. } | Outcome::Applied(skipped) = outcome {
        claims::append_skipped(skipped, "spec.database.embedded.", &mut parts.database);
        claims::append_skipped(skipped, "spec.messaging.embedded.", &mut parts.messaging);
    }
    let before = catalog.status.clone().unwrap_or_default();
    let mut conditions = Conditions::new(&before.conditions, catalog.metadata.generation, now);
    let all = [
        ("DatabaseReady", &parts.database),
        ("MessagingReady", &parts.messaging),
        ("Migrated", &parts.migrated),
        ("ApiAvailable", &parts.api.state),
        ("NotifierAvailable", &parts.notifier.state),
        ("TrackerAvailable", &parts.tracker.state),
        ("FulfillerAvailable", &parts.fulfiller.state),
    ];
    for (kind, state) in all {
        // Without the live objects the condition is unknown, so the previous one is kept.
        if live.is_complete() { conditions.set(kind, state) } else { conditions.keep(kind) }
    }
    let failing = all.iter().find(|(_, state)| !state.holds).map(|(kind, state)| (*kind, *state));
    // A shop doesn't serve from the database of another installation, nor from a new volume before its migration.
    let serves = parts.all_serve() && live.database.problem.is_none() && !installation::has_other_volume(catalog, live);
    let mail =
        issues.filter(|_| live.is_complete()).map(|issues| mail::mail(catalog, live, &issues.mail, conditions.before(mail::CONDITION)));
    let (autoscaling, failing_autoscaling) = autoscaling::autoscaling(catalog, live, now);
    // The shop serves without mail and autoscalers, so they don't affect Ready.
    let mail_or_autoscaling =
        mail.as_ref().and_then(MailStatus::failure).or(failing_autoscaling.map(|state| ConditionState { holds: true, ..state }));
    let signing_keys = signing_keys::unreadable(catalog, live);
    let ready = ready(outcome, serves, failing, signing_keys.is_some() || mail_or_autoscaling.is_some());
    conditions.set("Ready", &ready);
    let last_applied = last_applied::after(catalog, outcome, before.last_applied);
    conditions.set("Progressing", &progressing(outcome, &parts, failing.is_some(), last_applied.as_ref()));
    if let Outcome::Migrating { skipped, .. } | Outcome::Applied(skipped) = outcome {
        conditions.set("Complete", &complete(skipped));
    } else {
        conditions.keep("Complete");
    }
    match mail {
        Some(MailStatus { holds: Some(holds), reason, message }) => {
            conditions.set(mail::CONDITION, &ConditionState { holds, reason, message });
        }
        Some(MailStatus { holds: None, reason, message }) => conditions.set_unknown(mail::CONDITION, &reason, &message),
        None => conditions.keep(mail::CONDITION),
    }
    if live.is_complete() {
        conditions.set("AutoscalingReady", &autoscaling);
    } else {
        conditions.keep("AutoscalingReady");
    }
    // A migration in progress is not the cause of an unavailable shop.
    let cause = all.iter().find(|(kind, state)| !(state.holds || migration.is_some() && *kind == "Migrated")).or(failing.as_ref());
    let inputs = degraded::DegradedInputs {
        database: &live.database,
        issues,
        signing_keys,
        mail_or_autoscaling,
        // A Catalog that has served has a version.
        failing_condition: cause.filter(|_| !ready.holds && before.version.is_some()).copied(),
    };
    match degraded::degraded(outcome, inputs) {
        Some(state) => conditions.set("Degraded", &state),
        None => conditions.keep("Degraded"),
    }
    let (replicas, version) = if live.is_complete() {
        let replicas = Replicas {
            api: parts.api.count(),
            notifier: parts.notifier.count(),
            tracker: parts.tracker.count(),
            fulfiller: parts.fulfiller.count(),
        };
        // The previous version is kept during a rollout.
        (Some(replicas), parts.version().or(before.version))
    } else {
        (before.replicas, before.version)
    };
    CatalogStatus {
        observed_generation: catalog.metadata.generation,
        conditions: conditions.finish(),
        replicas,
        version,
        database: live.database.status.clone().or(before.database),
        messaging,
        url: catalog.namespace().map(|namespace| format!("http://{}-api.{namespace}.svc", catalog.name_any())),
        last_applied,
    }
}

fn ready(outcome: &Outcome, serves: bool, failing: Option<(&'static str, &ConditionState)>, is_impaired: bool) -> ConditionState {
    let summary = if is_impaired { "the shop serves; see Degraded" } else { "everything works" };
    match (outcome, failing) {
        (Outcome::Rejected(problems, _), _) => {
            ConditionState::no(problems.0.first().map_or("Refused", |problem| problem.reason.as_str()), problems.to_string())
        }
        (Outcome::Failed(error), _) => ConditionState::no(error.reason(), error.to_string()),
        // Migrated is the first condition that doesn't hold, so the prerequisites are ready.
        (Outcome::Migrating { .. }, Some(("Migrated", _))) if serves => {
            ConditionState::yes("PreviousReleaseServes", "the previous release serves until the migration has succeeded; see Progressing")
        }
        (_, Some((kind, state))) => ConditionState::no(&state.reason, format!("{kind}: {}", state.message)),
        (Outcome::Paused, None) => ConditionState::yes("Paused", format!("{summary}; changes are not applied while spec.paused is true")),
        (Outcome::Migrating { .. } | Outcome::Applied(_), None) => ConditionState::yes("Ready", summary),
    }
}

fn progressing(outcome: &Outcome, parts: &Parts, is_unready: bool, last_applied: Option<&LastApplied>) -> ConditionState {
    match outcome {
        Outcome::Paused => ConditionState::no("Paused", "changes are not applied while spec.paused is true"),
        Outcome::Rejected(..) => {
            let restored = last_applied
                .and_then(|applied| applied.observed_generation)
                .map(|generation| format!("; until then deleted and edited objects are restored to generation {generation}"));
            ConditionState::no("Refused", format!("the spec is rejected and must be corrected; see Ready{}", restored.unwrap_or_default()))
        }
        Outcome::Failed(_) => ConditionState::yes("Retrying", "the operator retries with increasing delays; see Degraded"),
        Outcome::Migrating { .. } => ConditionState::yes("Migrating", "the workloads are applied when the migration has succeeded"),
        Outcome::Applied(_) if parts.is_rolling_out() => ConditionState::yes("RollingOut", "pods are being replaced or added"),
        Outcome::Applied(_) if is_unready => {
            ConditionState::yes("Waiting", "everything is applied, but not everything is ready; see Ready")
        }
        Outcome::Applied(_) => ConditionState::no("Settled", "everything is applied and ready"),
    }
}

/// Skipped objects don't make a Catalog degraded, but are reported.
fn complete(skipped: &[Skipped]) -> ConditionState {
    if skipped.is_empty() {
        return ConditionState::yes("NothingSkipped", "no declared object or field was skipped");
    }
    let messages: Vec<_> = skipped.iter().map(|Skipped { path, message }| format!("{path}: {message}")).collect();
    ConditionState::no("Skipped", messages.join("; "))
}

#[cfg(test)]
mod tests {
    use kube::core::DynamicObject;
    use serde_json::json;

    use super::*;
    use crate::{build::samples, kinds::Kind};

    fn deployment(name: &str, version: &str, wanted: i64, available: i64) -> DynamicObject {
        let metadata = json!({"name": name, "generation": 1, "labels": {"app.kubernetes.io/version": version}});
        let status = json!({"observedGeneration": 1, "replicas": available, "updatedReplicas": available, "availableReplicas": available});
        let spec = json!({"replicas": wanted});
        serde_json::from_value(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec, "status": status}))
            .unwrap()
    }

    fn job(end: Option<&str>) -> DynamicObject {
        let conditions: Vec<_> = end.into_iter().map(|end| json!({"type": end, "status": "True"})).collect();
        let metadata = json!({"name": "shop-migrate-1", "labels": {"app.kubernetes.io/component": "migrate"}});
        serde_json::from_value(json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "status": {"conditions": conditions}}))
            .unwrap()
    }

    fn stateful_set(name: &str, ready: i64) -> DynamicObject {
        let status = json!({"replicas": 1, "readyReplicas": ready});
        serde_json::from_value(json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name}, "status": status}))
            .unwrap()
    }

    #[test]
    fn a_catalog_is_ready_during_a_migration_while_the_previous_release_serves() {
        let (catalog, _) = samples::minimal_input();
        let ready = |api: Option<(i64, i64)>, tracker: i64, database: i64| {
            let deployments = [("shop-notifier", 1, 1), ("shop-tracker", 1, tracker), ("shop-fulfiller", 1, 1)].into_iter();
            let deployments = deployments.chain(api.map(|(wanted, ready)| ("shop-api", wanted, ready))).map(|(name, wanted, available)| {
                let mut deployment = deployment(name, "1.0", wanted, available);
                deployment.data["status"]["readyReplicas"] = available.into();
                (Kind::Deployment, deployment)
            });
            let sets = [("shop-postgres", database), ("shop-nats", 1)].map(|(name, ready)| (Kind::StatefulSet, stateful_set(name, ready)));
            let live = Live::of(deployments.chain(sets).chain([(Kind::Job, job(None))]));
            let outcome = Outcome::Migrating { job: "shop-migrate-1".into(), skipped: Vec::new() };
            let report = status(&catalog, &live, &outcome, Some(&Issues::default()), Timestamp::UNIX_EPOCH);
            let condition = |kind: &str| {
                let found = report.conditions.iter().find(|condition| condition.type_ == kind).unwrap();
                (found.status.clone(), found.reason.clone())
            };
            assert_eq!((condition("Progressing").0.as_str(), condition("Migrated").0.as_str()), ("True", "False"));
            condition("Ready")
        };
        assert_eq!(ready(Some((2, 1)), 1, 1), ("True".into(), "PreviousReleaseServes".into()));
        assert_eq!(ready(Some((2, 0)), 1, 1).0, "False", "no pod serves");
        assert_eq!(ready(Some((0, 0)), 1, 1).0, "False", "the API is scaled to 0 pods");
        assert_eq!(ready(None, 1, 1).0, "False", "there is no previous release");
        assert_eq!(ready(Some((2, 2)), 0, 1).0, "False", "a worker is not available");
        assert_eq!(ready(Some((2, 2)), 1, 0), ("False".into(), "Starting".into()), "the database isn't ready");
    }

    #[test]
    fn degraded_is_unchanged_while_pods_cannot_be_listed() {
        let (mut catalog, _) = samples::minimal_input();
        let live = Live::of([(Kind::Job, job(Some("Failed")))]);
        let issues = Issues::find(&live, &[], &[], Timestamp::UNIX_EPOCH);
        let degraded = |catalog: &Catalog, issues: Option<&Issues>| {
            let report = status(catalog, &live, &Outcome::Applied(Vec::new()), issues, Timestamp::UNIX_EPOCH);
            (report.conditions.iter().find(|condition| condition.type_ == "Degraded").cloned(), report)
        };
        let (before, report) = degraded(&catalog, Some(&issues));
        assert_eq!(before.as_ref().map(|before| (before.status.as_str(), before.reason.as_str())), Some(("True", "MigrationFailed")));
        catalog.status = Some(report);
        assert_eq!(degraded(&catalog, None).0, before);
        assert_eq!(degraded(&catalog, Some(&Issues::default())).0.unwrap().status, "False");
    }

    #[test]
    fn the_version_is_unchanged_during_a_rollout() {
        let (mut catalog, _) = samples::minimal_input();
        let stages = [
            ("1.0", 1, 0, None),
            ("1.0", 1, 1, Some("1.0")),
            ("1.0", 2, 1, Some("1.0")),
            ("1.1", 2, 1, Some("1.0")),
            ("1.1", 2, 2, Some("1.1")),
        ];
        for (version, wanted, available, expected) in stages {
            let all = ["shop-api", "shop-notifier", "shop-tracker", "shop-fulfiller"]
                .map(|name| (Kind::Deployment, deployment(name, version, wanted, available)));
            let report = status(&catalog, &Live::of(all), &Outcome::Applied(Vec::new()), Some(&Issues::default()), Timestamp::UNIX_EPOCH);
            assert_eq!(report.version.as_deref(), expected, "{available} of {wanted} pods of {version}");
            catalog.status = Some(report);
        }
    }
}
