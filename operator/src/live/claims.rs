//! The observed state of a `PersistentVolumeClaim`.

use kube::{ResourceExt, api::DynamicObject};
use serde_json::Value;

use super::{conditions::conditions, managers::owns};
use crate::observed::ClaimFacts;

/// Name of the claim of the embedded database of the Catalog `name`.
#[must_use]
pub fn database_claim_name(name: &str) -> String {
    format!("{name}-postgres-data")
}

/// Returns the observed state of a claim.
#[must_use]
pub fn claim_facts(claim: &DynamicObject) -> ClaimFacts {
    let (spec, status) = (&claim.data["spec"], &claim.data["status"]);
    let failed = |condition: &&Value| {
        matches!(condition["type"].as_str(), Some("ControllerResizeError" | "NodeResizeError")) && condition["status"] == "True"
    };
    let resize_error = conditions(claim).find(failed);
    ClaimFacts {
        uid: claim.uid(),
        storage: spec["resources"]["requests"]["storage"].as_str().unwrap_or_default().into(),
        capacity: status["capacity"]["storage"].as_str().map(Into::into),
        is_bound: spec["volumeName"].is_string() || matches!(status["phase"].as_str(), Some("Bound" | "Lost")),
        resize_error: resize_error.map(|condition| condition["message"].as_str().unwrap_or("it failed").to_owned()),
        storage_class_name: spec["storageClassName"].as_str().map(str::to_owned),
        class_is_declared: owns(claim, "storageClassName"),
    }
}
