//! API and workers: how many pods, and what they are like.

use super::{
    check::{Check, some_text},
    plan::{ApiScale, RolePlan, WorkerScale},
    resources,
};
use crate::crd::{Api, Pod, Worker};

/// Waiting messages per notifier, unless the spec says otherwise.
pub const NOTIFIER_LAG: i32 = 50;
/// Waiting messages per tracker, unless the spec says otherwise. Each carries many views.
pub const TRACKER_LAG: i32 = 1000;

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
    Some(role(path, scale, &api.pod, check))
}

/// A worker. Without KEDA nobody would wake it, so it doesn't sleep.
pub fn worker(role_name: &str, lag: i32, worker: &Worker, check: &mut Check<'_>) -> Option<RolePlan<WorkerScale>> {
    let path = format!("spec.{role_name}");
    let scale = match (&worker.replicas, &worker.autoscaling) {
        (Some(_), Some(_)) => {
            check.invalid(&path, "give replicas for a fixed number of pods, or autoscaling, not both");
            return None;
        }
        (replicas, None) => WorkerScale::Fixed(replicas.unwrap_or(1)),
        (None, Some(by)) if check.keda => {
            WorkerScale::Lag { min: by.min_replicas, max: by.max_replicas, threshold: by.lag_threshold.unwrap_or(lag) }
        }
        (None, Some(by)) => {
            let replicas = by.min_replicas.max(1);
            check.skip(format!("{path}.autoscaling"), format!("KEDA is not installed: {replicas} fixed until it is"));
            WorkerScale::Fixed(replicas)
        }
    };
    Some(role(&path, scale, &worker.pod, check))
}

fn role<Scale>(path: &str, scale: Scale, pod: &Pod, check: &mut Check<'_>) -> RolePlan<Scale> {
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
        resources: resources::check(&format!("{path}.resources"), pod.resources.as_ref(), resources::ROLE, check),
        pod: pod.clone(),
        connections: given.and_then(|variable| variable.value.as_ref()?.parse().ok()).unwrap_or(CONNECTIONS),
    }
}
