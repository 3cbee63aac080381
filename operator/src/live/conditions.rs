//! Conditions of live objects.

use kube::api::DynamicObject;
use serde_json::Value;

/// The conditions of an object.
pub fn conditions(object: &DynamicObject) -> impl Iterator<Item = &Value> {
    object.data["status"]["conditions"].as_array().into_iter().flatten()
}

/// Whether a condition of the object is `True`.
#[must_use]
pub fn has_condition(object: &DynamicObject, kind: &str) -> bool {
    conditions(object).any(|condition| condition["type"] == kind && condition["status"] == "True")
}
