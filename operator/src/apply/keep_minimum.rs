//! The replicas of autoscaled Deployments.
//!
//! The autoscaler owns `spec.replicas`. A `HorizontalPodAutoscaler` doesn't scale a Deployment of 0 replicas (Kubernetes
//! documentation, Horizontal Pod Autoscaling, "Implicit maintenance-mode deactivation"), so the operator raises it to the
//! declared minimum, with a separate field manager that leaves later changes to the autoscaler.

use std::collections::BTreeMap;

use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::{Apply, Change, describe};
use crate::{
    build::Workloads,
    error::Error,
    kinds::Kind,
    live::{
        managers::{self, HANDOVER},
        scaled_objects::cannot_read_triggers,
        scaling::{SCALED_BY, declared_minimum, is_paused, replicas},
    },
};

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
}
