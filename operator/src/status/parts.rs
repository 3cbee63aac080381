//! The conditions of the components of a Catalog, derived from their objects.

use kube::{ResourceExt, api::DynamicObject};
use serde_json::Value;

use super::{
    conditions::ConditionState,
    issue::{Issue, MIGRATION_FAILING},
    issues::Issues,
    zero_replicas::may_be_zero,
};
use crate::{
    crd::Catalog,
    kinds::Kind,
    live::{COMPONENT, Live, conditions::has_condition},
};

/// Label with the release that an object runs.
const VERSION: &str = "app.kubernetes.io/version";

/// Reason of the condition of a workload that may have no pods and has none.
pub const SCALED_TO_ZERO: &str = "ScaledToZero";
/// Reason of the condition of a workload whose first pods start after it was scaled up from 0. It doesn't make the Catalog degraded.
pub const SCALING_UP: &str = "ScalingUp";
/// Reason of the condition of a workload without available pods, of which no issue is known.
pub const UNAVAILABLE: &str = "Unavailable";

/// Conditions of all components.
pub struct Parts {
    /// PostgreSQL.
    pub database: ConditionState,
    /// NATS.
    pub messaging: ConditionState,
    /// The migration.
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

/// State of a Deployment.
pub struct Workload {
    /// Its condition, such as `ApiAvailable`.
    pub state: ConditionState,
    ready: i64,
    desired: i64,
    rolling: bool,
    version: Option<String>,
}

impl Parts {
    /// Derives all parts. `migration` is the name of the pending migration Job, if there is one.
    pub fn of(catalog: &Catalog, live: &Live, migration: Option<&str>, issues: &Issues) -> Self {
        let name = catalog.name_any();
        let workload = |part: &str| {
            let deployment = live.get(Kind::Deployment, &format!("{name}-{part}"));
            Workload::of(deployment, issues.of(part), may_be_zero(catalog, live, part))
        };
        let spec = &catalog.spec;
        let database = if spec.database.embedded.is_some() {
            let hosted = embedded_server(live, &format!("{name}-postgres"), issues.of("postgres"));
            // Repeated here, because `kubectl describe` doesn't show the description of the field.
            ConditionState { message: format!("{}; one pod without replica or backup: for development only", hosted.message), ..hosted }
        } else {
            ConditionState::yes("External", "not managed by the operator; Migrated reports whether it was reachable")
        };
        let messaging = if spec.messaging.embedded.is_some() {
            embedded_server(live, &format!("{name}-nats"), issues.of("nats"))
        } else {
            ConditionState::yes("External", "not managed by the operator; Migrated reports whether it was reachable")
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

    /// Whether pods are being replaced or added.
    pub fn is_rolling_out(&self) -> bool {
        self.workloads().iter().any(|workload| workload.rolling)
    }

    /// Whether the API has a ready pod, and every worker is available or its first pods start.
    pub fn all_serve(&self) -> bool {
        self.api.serves() && self.workloads().iter().all(|workload| workload.state.holds || workload.state.reason == SCALING_UP)
    }

    /// The release of all workloads, unless a rollout is in progress.
    pub fn version(&self) -> Option<String> {
        let mut versions = self.workloads().into_iter().map(|workload| workload.version.clone());
        let first = versions.next().flatten()?;
        (!self.is_rolling_out() && versions.all(|version| version.as_ref() == Some(&first))).then_some(first)
    }
}

impl Workload {
    fn of(deployment: Option<&DynamicObject>, issue: Option<&Issue>, may_be_zero: bool) -> Self {
        let Some(deployment) = deployment else {
            let state = ConditionState::no("NotCreated", "its Deployment does not exist yet");
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
            _ if desired == 0 && may_be_zero => ConditionState::yes(SCALED_TO_ZERO, "its Deployment is scaled to 0 pods"),
            _ if desired == 0 => ConditionState::no("NoReplicas", no_replicas(&deployment.name_any())),
            Some(issue) if available == 0 => ConditionState::no(&issue.reason, issue.to_string()),
            None if available == 0 => ConditionState::no(UNAVAILABLE, count),
            Some(issue) => ConditionState::yes("Available", format!("{count}; {issue}")),
            None => ConditionState::yes("Available", count),
        };
        Self { state, ready, desired, rolling, version: deployment.labels().get(VERSION).cloned() }
    }

    /// Whether a pod of any release is ready.
    pub fn serves(&self) -> bool {
        self.state.holds && self.ready > 0
    }

    /// Ready and desired pods, such as `1/2`.
    pub fn count(&self) -> String {
        format!("{}/{}", self.ready, self.desired)
    }
}

fn no_replicas(name: &str) -> String {
    format!(
        "Deployment {name} has 0 replicas but the Catalog declares more; it is not scaled up while the Catalog or ScaledObject is paused"
    )
}

/// The condition of a server that runs as a `StatefulSet` of one pod.
fn embedded_server(live: &Live, name: &str, issue: Option<&Issue>) -> ConditionState {
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
        (Some(job), issue) if has_condition(job, "Failed") => {
            let cause = issue.map_or_else(|| format!("Job {} has failed", job.name_any()), |issue| with_logs(issue, job));
            ConditionState::no("MigrationFailed", format!("{cause}; fix the cause, then delete the Job to run it again"))
        }
        (Some(job), Some(issue)) => ConditionState::no(&issue.reason, with_logs(issue, job)),
        // Before its container has started, the pod has no logs.
        (Some(job), None) if job.data["status"]["ready"].as_i64().unwrap_or(0) == 0 => {
            ConditionState::no("MigrationRunning", format!("the pod of Job {} starts", job.name_any()))
        }
        (Some(job), None) => ConditionState::no("MigrationRunning", format!("see `kubectl logs job/{}`", job.name_any())),
        (None, _) => ConditionState::no("NotCreated", "its Job does not exist yet"),
    }
}

/// Describes the issue of a migration, with the command for its logs if a container has run.
fn with_logs(issue: &Issue, job: &DynamicObject) -> String {
    if issue.reason == MIGRATION_FAILING { format!("{issue}; see `kubectl logs job/{}`", job.name_any()) } else { issue.to_string() }
}

/// The newest migration Job, for a Catalog without a pending one.
fn newest_migration(live: &Live) -> Option<&DynamicObject> {
    live.of_kind(Kind::Job)
        .filter(|job| job.labels().get(COMPONENT).is_some_and(|part| part == "migrate"))
        .max_by_key(|job| job.creation_timestamp())
}

#[cfg(test)]
mod tests {
    use kube::core::DynamicObject;
    use serde_json::json;

    use super::*;
    use crate::{build::samples, status::issue::Source};

    #[test]
    fn the_pending_migration_is_reported_instead_of_one_of_the_same_second() {
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
        // A pending Job that does not exist yet is not replaced by another Job.
        let parts = Parts::of(&catalog, &live, Some("shop-migrate-4"), &Issues::default());
        assert_eq!(parts.migrated.reason, "NotCreated");
    }

    #[test]
    fn logs_are_mentioned_only_if_a_container_of_the_migration_has_run() {
        let message = |status: serde_json::Value, reason: Option<&str>| {
            let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "shop-migrate-1"}, "status": status});
            let issue = reason.map(|reason| Issue {
                component: "migrate".into(),
                source: Source::Pod,
                reason: reason.into(),
                object: "Pod a".into(),
                message: "text".into(),
                is_failure: true,
                until: None,
            });
            migrated(Some(&serde_json::from_value(job).unwrap()), issue.as_ref()).message
        };
        let failed = json!({"conditions": [{"type": "Failed", "status": "True"}]});
        for (status, reason, expected) in [
            (json!({"active": 1, "ready": 0}), None, "the pod of Job shop-migrate-1 starts"),
            (json!({"active": 1, "ready": 1}), None, "see `kubectl logs job/shop-migrate-1`"),
            (json!({"active": 1}), Some("ErrImagePull"), "Pod a: text"),
            (json!({"active": 1}), Some("MigrationFailing"), "Pod a: text; see `kubectl logs job/shop-migrate-1`"),
            (failed.clone(), Some("Deadline"), "Pod a: text; fix the cause, then delete the Job to run it again"),
            (failed, None, "Job shop-migrate-1 has failed; fix the cause, then delete the Job to run it again"),
        ] {
            assert_eq!(message(status, reason), expected);
        }
    }
}
