//! The parts of a Catalog, each judged by its objects.

use kube::{ResourceExt, api::DynamicObject};
use serde_json::Value;

use super::{
    conditions::ConditionState,
    issue::{Issue, Issues},
    scaling,
};
use crate::{crd::Catalog, kinds::Kind, live::Live};

/// Label with the release of what an object runs.
const VERSION: &str = "app.kubernetes.io/version";
/// Label with the part that an object belongs to.
pub const COMPONENT: &str = "app.kubernetes.io/component";

/// All parts.
pub struct Parts {
    /// PostgreSQL.
    pub database: ConditionState,
    /// NATS.
    pub messaging: ConditionState,
    /// The migration of this spec.
    pub migrated: ConditionState,
    /// The API.
    pub api: Workload,
    /// The notifier.
    pub notifier: Workload,
    /// The tracker.
    pub tracker: Workload,
    /// The fulfiller.
    pub fulfiller: Workload,
}

/// A Deployment.
pub struct Workload {
    /// Whether it is available.
    pub state: ConditionState,
    ready: i64,
    desired: i64,
    rolling: bool,
    version: Option<String>,
}

impl Parts {
    /// Judges them.
    /// `migration` is the name of the Job that is waited for, if one is.
    pub fn of(catalog: &Catalog, live: &Live, migration: Option<&str>, issues: &Issues) -> Self {
        let name = catalog.name_any();
        let workload = |part: &str| {
            let deployment = live.get(Kind::Deployment, &format!("{name}-{part}"));
            Workload::of(deployment, issues.of(part), scaling::may_be_zero(catalog, live, part))
        };
        let spec = &catalog.spec;
        let database = if spec.database.embedded.is_some() {
            let hosted = hosted(live, &format!("{name}-postgres"), issues.of("postgres"));
            // Said wherever people look, since nobody reads what they applied last year.
            ConditionState { message: format!("{}; one pod without replica or backup: for development only", hosted.message), ..hosted }
        } else {
            ConditionState::yes("External", "somebody else runs it; Migrated says whether it could be reached")
        };
        let messaging = if spec.messaging.embedded.is_some() {
            hosted(live, &format!("{name}-nats"), issues.of("nats"))
        } else {
            ConditionState::yes("External", "somebody else runs it; Migrated says whether it could be reached")
        };
        let migration = migration.map_or_else(|| newest_migration(live), |job| live.get(Kind::Job, job));
        let migrated = migrated(migration, issues.of("migrate"));
        Self {
            database,
            messaging,
            migrated,
            api: workload("api"),
            notifier: workload("notifier"),
            tracker: workload("tracker"),
            fulfiller: workload("fulfiller"),
        }
    }

    fn workloads(&self) -> [&Workload; 4] {
        [&self.api, &self.notifier, &self.tracker, &self.fulfiller]
    }

    /// Pods are being replaced or added.
    pub fn rolling(&self) -> bool {
        self.workloads().iter().any(|workload| workload.rolling)
    }

    /// Whether every workload is available, and the API has a ready pod.
    pub fn serve(&self) -> bool {
        self.api.serves() && self.workloads().iter().all(|workload| workload.state.holds)
    }

    /// The release that all workloads run, once it is rolled out.
    pub fn version(&self) -> Option<String> {
        let mut versions = self.workloads().into_iter().map(|workload| workload.version.clone());
        let first = versions.next().flatten()?;
        (!self.rolling() && versions.all(|version| version.as_ref() == Some(&first))).then_some(first)
    }
}

impl Workload {
    fn of(deployment: Option<&DynamicObject>, issue: Option<&Issue>, may_be_zero: bool) -> Self {
        let Some(deployment) = deployment else {
            let state = ConditionState::no("NotCreated", "its Deployment isn't there yet");
            return Self { state, ready: 0, desired: 0, rolling: false, version: None };
        };
        let (spec, status) = (&deployment.data["spec"], &deployment.data["status"]);
        let number = |value: &Value| value.as_i64().unwrap_or(0);
        let desired = spec["replicas"].as_i64().unwrap_or(1);
        let seen = number(&status["observedGeneration"]) >= deployment.metadata.generation.unwrap_or(0);
        let (ready, available) = (number(&status["readyReplicas"]), number(&status["availableReplicas"]));
        let (updated, total) = (number(&status["updatedReplicas"]), number(&status["replicas"]));
        let rolling = !seen || updated < desired || total > updated || available < desired;
        let count = format!("{available} of {desired} pods are available");
        let state = match issue {
            _ if desired == 0 && may_be_zero => ConditionState::yes("ScaledToZero", "no pods are asked for now"),
            _ if desired == 0 => ConditionState::no("NoReplicas", no_replicas(&deployment.name_any())),
            Some(issue) if available == 0 => ConditionState::no(&issue.reason, issue.to_string()),
            None if available == 0 => ConditionState::no("Unavailable", count),
            Some(issue) => ConditionState::yes("Available", format!("{count}; {issue}")),
            None => ConditionState::yes("Available", count),
        };
        Self { state, ready, desired, rolling, version: deployment.labels().get(VERSION).cloned() }
    }

    /// Whether a pod serves, of whichever release.
    pub fn serves(&self) -> bool {
        self.state.holds && self.ready > 0
    }

    /// Such as `1/2`.
    pub fn count(&self) -> String {
        format!("{}/{}", self.ready, self.desired)
    }
}

fn no_replicas(name: &str) -> String {
    format!("Deployment {name} has spec.replicas 0, and the Catalog declares more; a paused Catalog or ScaledObject is not scaled up")
}

/// A server that the operator runs as a `StatefulSet` of one pod.
fn hosted(live: &Live, name: &str, issue: Option<&Issue>) -> ConditionState {
    let ready = live.get(Kind::StatefulSet, name).and_then(|set| set.data["status"]["readyReplicas"].as_i64()).unwrap_or(0);
    match issue {
        _ if ready > 0 => ConditionState::yes("Running", "its pod is ready"),
        Some(issue) => ConditionState::no(&issue.reason, issue.to_string()),
        None => ConditionState::no("Starting", "its pod isn't ready yet"),
    }
}

fn migrated(migration: Option<&DynamicObject>, issue: Option<&Issue>) -> ConditionState {
    match (migration, issue) {
        (Some(job), _) if has_condition(job, "Complete") => ConditionState::yes("Succeeded", "the migration has succeeded"),
        (Some(job), _) if has_condition(job, "Failed") => ConditionState::no(
            "MigrationFailed",
            format!("see `kubectl logs job/{}`; when it is repaired, delete that Job", job.name_any()),
        ),
        (Some(job), Some(issue)) => ConditionState::no(&issue.reason, format!("{issue}; see `kubectl logs job/{}`", job.name_any())),
        (Some(job), None) => ConditionState::no("MigrationRunning", format!("see `kubectl logs job/{}`", job.name_any())),
        (None, _) => ConditionState::no("NotCreated", "its Job isn't there yet"),
    }
}

/// The last one, where none is waited for.
fn newest_migration(live: &Live) -> Option<&DynamicObject> {
    live.of_kind(Kind::Job)
        .filter(|job| job.labels().get(COMPONENT).is_some_and(|part| part == "migrate"))
        .max_by_key(|job| job.creation_timestamp())
}

/// Whether a condition of the object is `True`.
#[must_use]
pub fn has_condition(object: &DynamicObject, kind: &str) -> bool {
    let conditions = object.data["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| condition["type"] == kind && condition["status"] == "True")
}

#[cfg(test)]
mod tests {
    use kube::core::DynamicObject;
    use serde_json::json;

    use super::*;
    use crate::build::samples;

    #[test]
    fn of_two_migrations_of_one_second_the_one_that_is_waited_for_counts() {
        let job = |name: &str, end: &str| -> DynamicObject {
            let metadata = json!({
                "name": name, "creationTimestamp": "2026-11-25T12:00:00Z", "labels": {COMPONENT: "migrate"},
            });
            let status = json!({"conditions": [{"type": end, "status": "True"}]});
            serde_json::from_value(json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "status": status})).unwrap()
        };
        let jobs = [("shop-migrate-1", "Complete"), ("shop-migrate-2", "Failed"), ("shop-migrate-3", "Complete")];
        let live = Live::of(jobs.map(|(name, end)| (Kind::Job, job(name, end))));
        let (catalog, _) = samples::minimal_input();
        let parts = Parts::of(&catalog, &live, Some("shop-migrate-2"), &Issues::default());
        assert_eq!(parts.migrated.reason, "MigrationFailed");
        // One that isn't there yet isn't another one.
        let parts = Parts::of(&catalog, &live, Some("shop-migrate-4"), &Issues::default());
        assert_eq!(parts.migrated.reason, "NotCreated");
    }
}
