//! API and workers: how many pods, and what they are like.

use super::{
    check::{Check, some_text},
    plan::{ApiScale, DatabasePlan, RolePlan, WorkerScale},
    resources,
    worker::{WaitingRows, WorkerRole},
};
use crate::crd::{Api, Pod, Worker, WorkerAutoscaling};

/// `DATABASE_MAX_CONNECTIONS` of `catalog`, unless the spec says otherwise.
const CONNECTIONS: i32 = 10;

/// The API.
pub fn api(api: &Api, check: &mut Check<'_>) -> Option<RolePlan<ApiScale>> {
    let path = "spec.api";
    let scale = match (&api.replicas, &api.autoscaling) {
        (Some(_), Some(_)) => {
            check.invalid(path, "give replicas for a fixed number of pods, or autoscaling, not both");
            return None;
        }
        (replicas, None) => ApiScale::Fixed(replicas.unwrap_or(2)),
        (None, Some(by)) => ApiScale::Cpu { min: by.min_replicas, max: by.max_replicas, target: by.target_cpu_utilization_percentage },
    };
    let most = match scale {
        ApiScale::Fixed(most) | ApiScale::Cpu { max: most, .. } => most,
    };
    Some(role(path, scale, most, &api.pod, check))
}

/// A worker. It doesn't sleep where nobody would wake it: without KEDA, or if rows wait for it in a database that KEDA cannot ask.
pub fn worker(
    worker_role: WorkerRole,
    worker: &Worker,
    database: Option<&DatabasePlan>,
    check: &mut Check<'_>,
) -> Option<RolePlan<WorkerScale>> {
    let path = format!("spec.{}", worker_role.as_str());
    let scale = match (&worker.replicas, &worker.autoscaling) {
        (Some(_), Some(_)) => {
            check.invalid(&path, "give replicas for a fixed number of pods, or autoscaling, not both");
            return None;
        }
        (replicas, None) => WorkerScale::Fixed(replicas.unwrap_or(1)),
        (None, Some(by)) if check.keda => {
            let unseen = worker_role.waiting_rows().zip(database.and_then(DatabasePlan::keda_obstacle));
            let (min, max) = bounds(&path, by, unseen, check);
            WorkerScale::Lag { min, max, threshold: by.lag_threshold.unwrap_or(worker_role.lag()) }
        }
        (None, Some(by)) => {
            let replicas = by.min_replicas.max(1);
            check.skip(format!("{path}.autoscaling"), format!("KEDA is not installed: {replicas} fixed until it is"));
            WorkerScale::Fixed(replicas)
        }
    };
    let most = match (scale, &worker.autoscaling) {
        (WorkerScale::Fixed(replicas), declared) => declared.as_ref().map_or(replicas, |by| by.max_replicas.max(replicas)),
        (WorkerScale::Lag { max, .. }, _) => max,
    };
    Some(role(&path, scale, most, &worker.pod, check))
}

/// Fewest and most pods. Nobody would wake a worker for rows that KEDA cannot count.
fn bounds(path: &str, by: &WorkerAutoscaling, unseen: Option<(WaitingRows, &str)>, check: &mut Check<'_>) -> (i32, i32) {
    let (min, max) = (by.min_replicas, by.max_replicas);
    match unseen {
        Some((WaitingRows { what, .. }, obstacle)) if min == 0 => {
            let message = format!("KEDA cannot count {what} in a database {obstacle}: 1 instead of 0");
            check.skip(format!("{path}.autoscaling.minReplicas"), message);
            (1, max.max(1))
        }
        _ => (min, max),
    }
}

fn role<Scale>(path: &str, scale: Scale, most: i32, pod: &Pod, check: &mut Check<'_>) -> RolePlan<Scale> {
    for (index, variable) in pod.env.iter().enumerate() {
        if let Some(from) = &variable.value_from {
            let (name, key) = (&from.secret_key_ref.name, &from.secret_key_ref.key);
            let field = format!("{path}.env[{index}].valueFrom.secretKeyRef");
            check.key((&format!("{field}.name"), &format!("{field}.key")), name, key, some_text);
        }
    }
    let given = pod.env.iter().find(|variable| variable.name == "DATABASE_MAX_CONNECTIONS");
    RolePlan {
        scale,
        most,
        resources: resources::check(&format!("{path}.resources"), pod.resources.as_ref(), resources::ROLE, check),
        pod: pod.clone(),
        connections: given.and_then(|variable| variable.value.as_ref()?.parse().ok()).unwrap_or(CONNECTIONS),
    }
}
