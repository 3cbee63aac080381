//! What is reported of a Catalog: pure, from what was declared, what is there, and how the reconcile went.

pub mod claims;
mod conditions;
pub mod last_applied;
mod parts;
mod pods;

use jiff::Timestamp;
use kube::ResourceExt;

pub use parts::has_condition;
pub use pods::{Ailment, ailment};

use self::{
    conditions::{Conditions, Verdict},
    parts::Parts,
};
use crate::{
    crd::{Catalog, CatalogStatus, LastApplied, Replicas},
    error::Error,
    live::Live,
    validate::{Problems, Skipped},
};

/// How a reconcile went.
#[derive(Debug)]
pub enum Outcome {
    /// Nothing was done, as was asked.
    Paused,
    /// What is declared cannot be done. With the error of restoring what was applied last, if there was one.
    Refused(Problems, Option<Error>),
    /// The migration has to succeed before the workloads are applied.
    Migrating {
        /// The name of its Job.
        job: String,
        /// What the plan had to leave out.
        skipped: Vec<Skipped>,
    },
    /// Everything is applied. With what the plan had to leave out.
    Applied(Vec<Skipped>),
    /// It didn't come to its end.
    Failed(Error),
}

/// The status of `catalog`. Times of conditions that stay as they are stay, too.
#[must_use]
pub fn status(catalog: &Catalog, live: &Live, outcome: &Outcome, ailment: Option<&Ailment>, now: Timestamp) -> CatalogStatus {
    let migration = match outcome {
        Outcome::Migrating { job, .. } => Some(job.as_str()),
        Outcome::Paused | Outcome::Refused(..) | Outcome::Applied(_) | Outcome::Failed(_) => None,
    };
    let parts = Parts::of(catalog, live, migration, ailment);
    let before = catalog.status.clone().unwrap_or_default();
    let mut conditions = Conditions::new(&before.conditions, catalog.metadata.generation, now);
    let all = [
        ("DatabaseReady", &parts.database),
        ("MessagingReady", &parts.messaging),
        ("Migrated", &parts.migrated),
        ("ApiAvailable", &parts.api.verdict),
        ("NotifierAvailable", &parts.notifier.verdict),
        ("TrackerAvailable", &parts.tracker.verdict),
        ("FulfillerAvailable", &parts.fulfiller.verdict),
    ];
    for (kind, verdict) in all {
        // Of what couldn't be looked at, there is nothing new to say.
        if live.complete() { conditions.set(kind, verdict) } else { conditions.keep(kind) }
    }
    let unready = all.iter().find(|(_, verdict)| !verdict.holds).map(|(kind, verdict)| (*kind, *verdict));
    conditions.set("Ready", &ready(outcome, unready));
    let last_applied = last_applied::after(catalog, outcome, before.last_applied);
    conditions.set("Progressing", &progressing(outcome, &parts, unready.is_some(), last_applied.as_ref()));
    if let Outcome::Migrating { skipped, .. } | Outcome::Applied(skipped) = outcome {
        conditions.set("Complete", &complete(skipped));
    } else {
        conditions.keep("Complete");
    }
    conditions.set("Degraded", &degraded(outcome, ailment));
    let (replicas, version) = if live.complete() {
        let replicas = Replicas {
            api: parts.api.count(),
            notifier: parts.notifier.count(),
            tracker: parts.tracker.count(),
            fulfiller: parts.fulfiller.count(),
        };
        // Pods that are added or replaced don't take away what was said of the release before.
        (Some(replicas), parts.version().or(before.version))
    } else {
        (before.replicas, before.version)
    };
    CatalogStatus {
        observed_generation: catalog.metadata.generation,
        conditions: conditions.finish(),
        replicas,
        version,
        url: catalog.namespace().map(|namespace| format!("http://{}-api.{namespace}.svc", catalog.name_any())),
        last_applied,
    }
}

fn ready(outcome: &Outcome, unready: Option<(&'static str, &Verdict)>) -> Verdict {
    match (outcome, unready) {
        (Outcome::Refused(problems, _), _) => {
            Verdict::no(problems.0.first().map_or("Refused", |problem| problem.reason.as_str()), problems.to_string())
        }
        (Outcome::Failed(error), _) => Verdict::no(error.reason(), error.to_string()),
        (_, Some((kind, verdict))) => Verdict::no(&verdict.reason, format!("{kind}: {}", verdict.message)),
        (Outcome::Paused, None) => Verdict::yes("Paused", "everything works; changes wait until spec.paused is false"),
        (Outcome::Migrating { .. } | Outcome::Applied(_), None) => Verdict::yes("Ready", "everything works"),
    }
}

fn progressing(outcome: &Outcome, parts: &Parts, unready: bool, last_applied: Option<&LastApplied>) -> Verdict {
    match outcome {
        Outcome::Paused => Verdict::no("Paused", "changes wait until spec.paused is false"),
        Outcome::Refused(..) => {
            let kept = last_applied
                .and_then(|applied| applied.observed_generation)
                .map(|generation| format!("; until then deleted and edited objects are restored as generation {generation} declared them"));
            Verdict::no("Refused", format!("the spec has to be corrected first: see Ready{}", kept.unwrap_or_default()))
        }
        Outcome::Failed(_) => Verdict::yes("Retrying", "the operator tries again, later each time: see Degraded"),
        Outcome::Migrating { .. } => Verdict::yes("Migrating", "the workloads follow when the migration has succeeded"),
        Outcome::Applied(_) if parts.rolling() => Verdict::yes("RollingOut", "pods are being replaced or added"),
        Outcome::Applied(_) if unready => Verdict::yes("Waiting", "everything is applied, and something isn't ready yet: see Ready"),
        Outcome::Applied(_) => Verdict::no("Settled", "everything is as declared"),
    }
}

/// What the cluster lacks isn't wrong, and people should know.
fn complete(skipped: &[Skipped]) -> Verdict {
    if skipped.is_empty() {
        return Verdict::yes("NothingSkipped", "the cluster has all that is asked for");
    }
    let said: Vec<_> = skipped.iter().map(|Skipped { path, message }| format!("{path}: {message}")).collect();
    Verdict::no("Skipped", said.join("; "))
}

fn degraded(outcome: &Outcome, ailment: Option<&Ailment>) -> Verdict {
    match (outcome, ailment) {
        (Outcome::Refused(problems, error), _) => {
            let restoring = error.as_ref().map(|error| format!("; the objects of the last applied spec are not restored: {error}"));
            let message = format!("{problems}{}", restoring.unwrap_or_default());
            Verdict::yes(problems.0.first().map_or("Refused", |problem| problem.reason.as_str()), message)
        }
        (Outcome::Failed(error), _) => Verdict::yes(error.reason(), error.to_string()),
        (_, Some(ailment)) => Verdict::yes(&ailment.reason, ailment.to_string()),
        (_, None) => Verdict::no("Healthy", "nothing is wrong"),
    }
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

    #[test]
    fn the_release_stays_while_pods_are_added_or_replaced() {
        let (mut catalog, _) = samples::minimal_input();
        let stages = [
            ("1.0", 1, 0, None),
            ("1.0", 1, 1, Some("1.0")),
            ("1.0", 2, 1, Some("1.0")),
            ("1.1", 2, 1, Some("1.0")),
            ("1.1", 2, 2, Some("1.1")),
        ];
        for (version, wanted, available, said) in stages {
            let all = ["shop-api", "shop-notifier", "shop-tracker", "shop-fulfiller"]
                .map(|name| (Kind::Deployment, deployment(name, version, wanted, available)));
            let report = status(&catalog, &Live::of(all), &Outcome::Applied(Vec::new()), None, Timestamp::UNIX_EPOCH);
            assert_eq!(report.version.as_deref(), said, "{available} of {wanted} pods of {version}");
            catalog.status = Some(report);
        }
    }
}
