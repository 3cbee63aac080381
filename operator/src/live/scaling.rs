//! The number of replicas of an autoscaled Deployment, and who last changed it.

use jiff::Timestamp;
use kube::{ResourceExt, api::DynamicObject};

use super::{Live, managers::HANDOVER};
use crate::kinds::Kind;

/// Annotation of a `ScaledObject` with the number of replicas at which KEDA pauses.
pub const PAUSED_REPLICAS: &str = "autoscaling.keda.sh/paused-replicas";
/// Annotation of a `ScaledObject` that pauses KEDA.
pub const PAUSED: &str = "autoscaling.keda.sh/paused";
/// Annotation of a Deployment with the managers that last scaled it below the minimum of its autoscaler.
pub const SCALED_BY: &str = "catalog.rs/scaled-below-minimum-by";

/// The managers that last scaled a Deployment below the minimum of its autoscaler, and when the operator raised it again.
#[must_use]
pub fn last_raise(deployment: &DynamicObject) -> Option<(&str, Timestamp)> {
    let managers = deployment.annotations().get(SCALED_BY)?;
    let entry = deployment.managed_fields().iter().find(|entry| entry.manager.as_deref() == Some(HANDOVER))?;
    Some((managers, entry.time.as_ref()?.0))
}

/// The declared number of replicas of a Deployment.
#[must_use]
pub fn replicas(deployment: &DynamicObject) -> i64 {
    deployment.data["spec"]["replicas"].as_i64().unwrap_or(1)
}

/// The minimum in the live autoscaler of that Deployment.
#[must_use]
pub fn declared_minimum(live: &Live, name: &str) -> Option<i64> {
    let by_cpu = live.get(Kind::HorizontalPodAutoscaler, name).and_then(|scaler| scaler.data["spec"]["minReplicas"].as_i64());
    by_cpu.or_else(|| live.get(Kind::ScaledObject, name)?.data["spec"]["minReplicaCount"].as_i64())
}

/// Whether an annotation pauses the `ScaledObject` of that name
/// (<https://keda.sh/docs/latest/concepts/scaling-deployments/>, "Pause autoscaling").
#[must_use]
pub fn is_paused(live: &Live, name: &str) -> bool {
    live.get(Kind::ScaledObject, name).is_some_and(|scaler| {
        let annotations = scaler.annotations();
        annotations.contains_key(PAUSED_REPLICAS) || annotations.get(PAUSED).is_some_and(|value| value == "true")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keda_annotations_pause_a_scaled_object() {
        let paused = |annotations: serde_json::Value| {
            let object = json!({"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "shop-tracker", "annotations": annotations}});
            is_paused(&Live::of([(Kind::ScaledObject, serde_json::from_value(object).unwrap())]), "shop-tracker")
        };
        assert!(paused(json!({PAUSED_REPLICAS: "0"})));
        assert!(paused(json!({PAUSED: "true"})));
        assert!(!paused(json!({PAUSED: "false"})));
        assert!(!paused(json!({})));
    }
}
