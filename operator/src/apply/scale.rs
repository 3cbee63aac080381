//! The replicas of autoscaled Deployments.
//!
//! The autoscaler owns `spec.replicas`. A `HorizontalPodAutoscaler` doesn't scale a Deployment of 0 replicas (Kubernetes
//! documentation, Horizontal Pod Autoscaling, "Implicit maintenance-mode deactivation"), so the operator raises it to the
//! declared minimum, with a separate field manager that leaves later changes to the autoscaler.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::{
    ResourceExt,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::json;

use super::{
    Apply, Change, describe,
    managers::{self, HANDOVER},
};
use crate::{build::Workloads, error::Error, kinds::Kind, live::Live, status::cannot_read_triggers};

/// Annotation of a `ScaledObject` with the number of replicas at which KEDA pauses.
pub const PAUSED_REPLICAS: &str = "autoscaling.keda.sh/paused-replicas";
/// Annotation of a `ScaledObject` that pauses KEDA.
pub const PAUSED: &str = "autoscaling.keda.sh/paused";

/// Annotation of a Deployment with the managers that last scaled it below the minimum of its autoscaler.
const SCALED_BY: &str = "catalog.rs/scaled-below-minimum-by";

/// The managers that last scaled a Deployment below the minimum of its autoscaler, and when the operator raised it again.
#[must_use]
pub fn last_raise(deployment: &DynamicObject) -> Option<(&str, Timestamp)> {
    let managers = deployment.annotations().get(SCALED_BY)?;
    let entry = deployment.managed_fields().iter().find(|entry| entry.manager.as_deref() == Some(HANDOVER))?;
    Some((managers, entry.time.as_ref()?.0))
}

/// The minimum replicas of the autoscalers, by name of the Deployment.
#[must_use]
pub fn minimums(workloads: &Workloads) -> BTreeMap<String, i64> {
    let by_cpu = workloads.autoscalers.iter().map(|scaler| (&scaler.spec.scale_target_ref.name, scaler.spec.min_replicas.unwrap_or(1)));
    let by_lag = workloads.scaled_objects.iter().map(|scaler| (&scaler.spec.scale_target_ref.name, scaler.spec.min_replica_count));
    by_cpu.chain(by_lag).map(|(name, minimum)| (name.clone(), minimum.into())).collect()
}

impl Apply<'_> {
    /// Raises the replicas of an autoscaled Deployment to its minimum, unless KEDA is paused.
    ///
    /// # Errors
    /// If the Deployment cannot be patched.
    pub async fn keep_minimum(&mut self, name: &str, minimum: i64) -> Result<(), Error> {
        let Some(live) = self.live.get(Kind::Deployment, name) else { return Ok(()) };
        // KEDA starts no pod while it cannot read its triggers, and its fallback doesn't scale a Deployment of 0 replicas.
        let is_unreadable = self.live.get(Kind::ScaledObject, name).is_some_and(|scaler| cannot_read_triggers(scaler, self.now));
        let declared = minimum;
        let minimum = if is_unreadable { minimum.max(1) } else { minimum };
        if replicas(live) >= minimum || is_paused(self.live, name) {
            return Ok(());
        }
        // If the minimum itself was raised, no other client has scaled the Deployment below it.
        let was_changed = replicas(live) < declared && declared_minimum(self.live, name) == Some(declared);
        let mut managers = managers::replica_owners(live);
        if managers.is_empty() {
            // The scale subresource omits 0 as the empty value, so `managedFields` has no entry for it.
            managers.push("a client of the scale subresource".to_owned());
        }
        self.set_replicas(name, minimum, was_changed.then(|| managers.join(", "))).await?;
        self.record_change(Change::scaled(name, minimum, if was_changed { managers } else { Vec::new() }));
        Ok(())
    }

    /// Makes [`HANDOVER`] own the current replicas, so that they stay when [`managers::MANAGER`] no longer declares them.
    ///
    /// # Errors
    /// If the Deployment cannot be patched.
    pub async fn hand_replicas_over(&mut self, name: &str) -> Result<(), Error> {
        let Some(live) = self.live.get(Kind::Deployment, name) else { return Ok(()) };
        self.set_replicas(name, replicas(live), None).await
    }

    async fn set_replicas(&mut self, name: &str, replicas: i64, scaled_by: Option<String>) -> Result<(), Error> {
        let kind = Kind::Deployment;
        let resource = kind.resource();
        let mut declared = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": name},
            "spec": {"replicas": replicas},
        });
        if let Some(managers) = scaled_by {
            declared["metadata"]["annotations"] = json!({SCALED_BY: managers});
        }
        let params = PatchParams::apply(HANDOVER).force();
        let scaled = self.api(kind).patch(name, &params, &Patch::Apply(&declared)).await;
        self.live.put(kind, scaled.map_err(|source| Error::api("scale", describe(kind, name), source))?);
        Ok(())
    }
}

fn replicas(deployment: &DynamicObject) -> i64 {
    deployment.data["spec"]["replicas"].as_i64().unwrap_or(1)
}

/// The minimum in the live autoscaler of that Deployment.
fn declared_minimum(live: &Live, name: &str) -> Option<i64> {
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
    use super::*;
    use crate::build::{build, samples};

    #[test]
    fn minimums_come_from_the_autoscalers() {
        let declared = minimums(&build(&samples::full()).workloads);
        let expected = [("shop-api", 2), ("shop-fulfiller", 1), ("shop-notifier", 1), ("shop-tracker", 1)];
        assert_eq!(declared.iter().map(|(name, minimum)| (name.as_str(), *minimum)).collect::<Vec<_>>(), expected);
        assert!(minimums(&build(&samples::minimal()).workloads).is_empty(), "a fixed number is declared in the Deployment");
    }

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
