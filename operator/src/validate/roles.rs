//! Checks the API and the workers: numbers of pods, resources and variables.

use super::{
    check::{Check, some_text},
    plan::{ApiScale, DatabasePlan, RolePlan, WorkerScale},
    resources,
    worker::{WaitingRows, WorkerRole},
};
use crate::crd::{Api, Pod, Worker, WorkerAutoscaling};

/// The default of `DATABASE_MAX_CONNECTIONS` in `catalog`.
const CONNECTIONS: i32 = 10;

/// Checks `spec.api`.
pub fn check_api(api: &Api, check: &mut Check<'_>) -> Option<RolePlan<ApiScale>> {
    let path = "spec.api";
    let scale = match (&api.replicas, &api.autoscaling) {
        (Some(_), Some(_)) => {
            check.invalid(path, "set either replicas, for a fixed number of pods, or autoscaling, but not both");
            return None;
        }
        (replicas, None) => ApiScale::Fixed(replicas.unwrap_or(2)),
        (None, Some(by)) => ApiScale::Cpu { min: by.min_replicas, max: by.max_replicas, target: by.target_cpu_utilization_percentage },
    };
    let max_replicas = match scale {
        ApiScale::Fixed(replicas) | ApiScale::Cpu { max: replicas, .. } => replicas,
    };
    Some(check_role(path, scale, max_replicas, &api.pod, check))
}

/// Checks a worker. It doesn't scale to zero if nothing would scale it up again: without KEDA, or if it also has work in a database that
/// KEDA cannot query.
pub fn check_worker(
    worker_role: WorkerRole,
    worker: &Worker,
    database: Option<&DatabasePlan>,
    check: &mut Check<'_>,
) -> Option<RolePlan<WorkerScale>> {
    let path = format!("spec.{}", worker_role.as_str());
    let scale = match (&worker.replicas, &worker.autoscaling) {
        (Some(_), Some(_)) => {
            check.invalid(&path, "set either replicas, for a fixed number of pods, or autoscaling, but not both");
            return None;
        }
        (replicas, None) => WorkerScale::Fixed(replicas.unwrap_or(1)),
        (None, Some(by)) if check.keda => {
            let uncounted = worker_role.waiting_rows().zip(database.and_then(DatabasePlan::keda_obstacle));
            let (min, max) = bounds(&path, by, uncounted, check);
            WorkerScale::Lag { min, max, threshold: by.lag_threshold.unwrap_or(worker_role.default_lag_threshold()) }
        }
        (None, Some(by)) => {
            let replicas = by.min_replicas.max(1);
            check.skip(format!("{path}.autoscaling"), format!("KEDA is not installed: replicas is fixed at {replicas} until it is"));
            WorkerScale::Fixed(replicas)
        }
    };
    let max_replicas = match (scale, &worker.autoscaling) {
        (WorkerScale::Fixed(replicas), declared) => declared.as_ref().map_or(replicas, |by| by.max_replicas.max(replicas)),
        (WorkerScale::Lag { max, .. }, _) => max,
    };
    Some(check_role(&path, scale, max_replicas, &worker.pod, check))
}

/// Returns the minimum and the maximum number of pods. The minimum is at least 1 if the worker has rows that KEDA cannot count.
fn bounds(path: &str, by: &WorkerAutoscaling, uncounted: Option<(WaitingRows, &str)>, check: &mut Check<'_>) -> (i32, i32) {
    let (min, max) = (by.min_replicas, by.max_replicas);
    match uncounted {
        Some((WaitingRows { what, .. }, obstacle)) if min == 0 => {
            let message = format!("KEDA cannot count {what} in a database {obstacle}: minReplicas is 1 instead of 0");
            check.skip(format!("{path}.autoscaling.minReplicas"), message);
            (1, max.max(1))
        }
        _ => (min, max),
    }
}

fn check_role<Scale>(path: &str, scale: Scale, max_replicas: i32, pod: &Pod, check: &mut Check<'_>) -> RolePlan<Scale> {
    for (index, variable) in pod.env.iter().enumerate() {
        if let Some(from) = &variable.value_from {
            let (name, key) = (&from.secret_key_ref.name, &from.secret_key_ref.key);
            let field = format!("{path}.env[{index}].valueFrom.secretKeyRef");
            check.require_key((&format!("{field}.name"), &format!("{field}.key")), name, key, some_text);
        }
    }
    let given = pod.env.iter().find(|variable| variable.name == "DATABASE_MAX_CONNECTIONS");
    RolePlan {
        scale,
        max_replicas,
        resources: resources::check(&format!("{path}.resources"), pod.resources.as_ref(), resources::ROLE, check),
        pod: pod.clone(),
        connections: given.and_then(|variable| variable.value.as_ref()?.parse().ok()).unwrap_or(CONNECTIONS),
    }
}
