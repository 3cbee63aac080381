//! Derives the status of a Catalog from its spec, the live objects and the outcome of the reconcile, without a client or clock.

mod autoscaling;
mod claims;
mod complete;
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
mod scaling_up;
mod signing_keys;
pub mod unreadable;
mod zero_replicas;

use jiff::Timestamp;
use kube::ResourceExt;

pub use autoscaling::next_ignored_at;
pub use complete::{ROTATION_BLOCKED, SKIPPED, blocked_rotation};
pub use conditions::UNREADABLE;
pub use issue::Issue;
pub use issues::{Issues, uids_needing_events};

use self::{
    conditions::{ConditionState, Conditions},
    mail::MailStatus,
    parts::{Parts, SCALING_UP},
};
use crate::{
    crd::{Catalog, CatalogStatus, LastApplied, Replicas},
    error::Error,
    live::Live,
    validate::{Problems, Skipped, scheduled_rotations},
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
    let before = catalog.status.clone().unwrap_or_default();
    // Until the current spec can be applied, the objects are those of the last applied one.
    let last = match outcome {
        Outcome::Rejected(..) | Outcome::Migrating { .. } => last_applied::catalog(catalog),
        Outcome::Paused | Outcome::Applied(_) | Outcome::Failed(_) => None,
    };
    let running = last.as_ref().unwrap_or(catalog);
    let mut parts = Parts::of(running, live, migration, issues.unwrap_or(&Issues::default()));
    scaling_up::set_conditions(&before.conditions, now, &mut parts);
    installation::set_conditions(&live.database, &mut parts);
    let messaging = messaging::volume(running, live, now);
    messaging::append_replacement(messaging.as_ref(), &mut parts.messaging);
    if let Outcome::Migrating { skipped, .. } | Outcome::Applied(skipped) = outcome {
        claims::append_skipped(skipped, "spec.database.embedded.", &mut parts.database);
        claims::append_skipped(skipped, "spec.messaging.embedded.", &mut parts.messaging);
    }
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
    // Workers whose first pods start don't keep the shop from serving.
    let affects_ready = |kind: &str, state: &ConditionState| !state.holds && (kind == "ApiAvailable" || state.reason != SCALING_UP);
    let failing = all.iter().find(|(kind, state)| affects_ready(kind, state)).map(|(kind, state)| (*kind, *state));
    // A shop doesn't serve from the database of another installation, nor from a new volume before its migration.
    let serves = parts.all_serve() && live.database.problem.is_none() && !installation::has_other_volume(running, live);
    let mail = issues
        .filter(|_| live.is_complete())
        .map(|issues| mail::mail(catalog, live, &issues.mail, &issues.mail_servers, conditions.before(mail::CONDITION)));
    let (autoscaling, failing_autoscaling) = autoscaling::autoscaling(running, live, now);
    // The shop serves without mail and autoscalers, so they don't affect Ready.
    let mail_or_autoscaling =
        mail.as_ref().and_then(MailStatus::failure).or(failing_autoscaling.map(|state| ConditionState { holds: true, ..state }));
    let signing_keys = signing_keys::unreadable(catalog, live);
    let has_failures = issues.is_some_and(|issues| issues.failures().next().is_some());
    let ready = ready(outcome, serves, failing, has_failures || signing_keys.is_some() || mail_or_autoscaling.is_some());
    conditions.set("Ready", &ready);
    let last_applied = last_applied::after(catalog, outcome, before.last_applied);
    conditions.set("Progressing", &progressing(outcome, &parts, failing.is_some(), last_applied.as_ref()));
    complete::set_condition(&mut conditions, catalog, live, outcome, now);
    match mail {
        Some(MailStatus { holds: Some(holds), reason, message }) => {
            conditions.set(mail::CONDITION, &ConditionState { holds, reason, message });
        }
        Some(MailStatus { holds: None, reason, message }) => {
            conditions.set_unknown(mail::CONDITION, &ConditionState::no(&reason, message));
        }
        None => conditions.keep(mail::CONDITION),
    }
    if live.is_complete() {
        conditions.set("AutoscalingReady", &autoscaling);
    } else {
        conditions.keep("AutoscalingReady");
    }
    // A migration in progress is not the cause of an unavailable shop, and pods that start are not a failure.
    let failing_parts = || all.iter().filter(|(_, state)| !state.holds && state.reason != SCALING_UP);
    let is_scaling_up = all.iter().any(|(_, state)| state.reason == SCALING_UP);
    let cause = failing_parts()
        .find(|(kind, _)| migration.is_none() || *kind != "Migrated")
        .or_else(|| failing_parts().next().filter(|_| !is_scaling_up));
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
        scheduled_rotations: scheduled_rotations(catalog, now),
        url: catalog.namespace().map(|namespace| format!("http://{}-api.{namespace}.svc", catalog.name_any())),
        last_applied,
    }
}

fn ready(outcome: &Outcome, serves: bool, failing: Option<(&'static str, &ConditionState)>, is_impaired: bool) -> ConditionState {
    let summary = if is_impaired { "the shop serves; see Degraded" } else { "everything works" };
    match (outcome, failing) {
        (Outcome::Rejected(_, None), None | Some(("Migrated", _))) if serves => ConditionState::yes(
            "LastAppliedSpecServes",
            "the shop serves with the last applied spec; the current spec cannot be applied, see Degraded",
        ),
        // An object that cannot be restored can be one without which no request arrives, such as a Service.
        (Outcome::Failed(error) | Outcome::Rejected(_, Some(error)), _) => ConditionState::no(error.reason(), error.to_string()),
        (Outcome::Rejected(problems, None), _) => ConditionState::no(problems.reason(), problems.to_string()),
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
            ConditionState::no(
                "Refused",
                format!("the spec is rejected and must be corrected; see Degraded{}", restored.unwrap_or_default()),
            )
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

#[cfg(test)]
mod tests;
