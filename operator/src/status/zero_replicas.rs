//! Whether a role may have no pods.

use kube::ResourceExt;

use crate::{
    crd::{Catalog, Worker},
    kinds::Kind,
    live::Live,
};

/// Whether a role may have no pods: `replicas` is 0, or `minReplicas` is 0 and its `ScaledObject` was applied with it.
#[must_use]
pub fn may_be_zero(catalog: &Catalog, live: &Live, role: &str) -> bool {
    let spec = &catalog.spec;
    let worker = |worker: &Worker| {
        let scaled_object = live.get(Kind::ScaledObject, &format!("{}-{role}", catalog.name_any()));
        let has_minimum_of_zero = scaled_object.is_some_and(|scaler| scaler.data["spec"]["minReplicaCount"] == 0);
        worker.replicas == Some(0) || (worker.autoscaling.as_ref().is_some_and(|by| by.min_replicas == 0) && has_minimum_of_zero)
    };
    match role {
        "notifier" => worker(&spec.notifier),
        "tracker" => worker(&spec.tracker),
        "fulfiller" => worker(&spec.fulfiller),
        _ => spec.api.replicas == Some(0),
    }
}
