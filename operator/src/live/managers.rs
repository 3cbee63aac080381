//! Owners of fields, read from `managedFields`.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::{ResourceExt, api::DynamicObject};
use serde_json::Value;

/// Field manager that applies all declared fields.
pub const MANAGER: &str = "catalog-operator";
/// Field manager that keeps the replicas while their ownership moves from [`MANAGER`] to an autoscaler.
pub const HANDOVER: &str = "catalog-operator-handover";

/// Whether [`MANAGER`] has applied that field of `spec`. If no other manager owns the field, applying without it resets it.
#[must_use]
pub fn owns(object: &DynamicObject, field: &str) -> bool {
    let field = format!("f:{field}");
    object.managed_fields().iter().any(|entry| {
        entry.manager.as_deref() == Some(MANAGER)
            && entry.operation.as_deref() == Some("Apply")
            && entry.fields_v1.as_ref().is_some_and(|fields| fields.0["f:spec"].get(&field).is_some())
    })
}

/// Whether [`MANAGER`] was the last to set the arguments of a container of the pod template.
#[must_use]
pub fn owns_arguments(object: &DynamicObject, container: &str) -> bool {
    let container = format!("k:{{\"name\":\"{container}\"}}");
    let path = ["f:spec", "f:template", "f:spec", "f:containers", &container, "f:args"];
    let ours = object.managed_fields().iter().filter(|entry| entry.manager.as_deref() == Some(MANAGER));
    let mut fields = ours.filter_map(|entry| entry.fields_v1.as_ref().map(|fields| &fields.0));
    fields.any(|fields| path.iter().try_fold(fields, |fields, step| fields.get(step)).is_some())
}

/// Whether [`MANAGER`] has applied any field of the object.
#[must_use]
pub fn has_applied(object: &DynamicObject) -> bool {
    let is_ours = |entry: &ManagedFieldsEntry| entry.manager.as_deref() == Some(MANAGER) && entry.operation.as_deref() == Some("Apply");
    object.managed_fields().iter().any(is_ours)
}

/// When [`MANAGER`] last applied a changed field of the object.
#[must_use]
pub fn applied_at(object: &DynamicObject) -> Option<Timestamp> {
    let is_ours = |entry: &&ManagedFieldsEntry| entry.manager.as_deref() == Some(MANAGER) && entry.operation.as_deref() == Some("Apply");
    object.managed_fields().iter().filter(is_ours).filter_map(|entry| entry.time.as_ref().map(|time| time.0)).max()
}

/// The managers that a conflict names, such as `kubectl-edit`.
///
/// The API server answers a conflict with one cause per field, `conflict with "kubectl-edit" using apps/v1` in its message
/// (Kubernetes documentation, Server-Side Apply, "Conflicts").
#[must_use]
pub fn conflicting(status: &kube::core::Status) -> Vec<String> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let mut managers: Vec<_> = causes
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .filter_map(|cause| cause.message.split('"').nth(1).map(str::to_owned))
        .filter(|manager| manager != HANDOVER)
        .collect();
    managers.sort_unstable();
    managers.dedup();
    managers
}

/// Managers other than the operator that own the number of replicas, such as `kubectl`.
#[must_use]
pub fn replica_owners(object: &DynamicObject) -> Vec<String> {
    let sets = |entry: &&ManagedFieldsEntry| entry.fields_v1.as_ref().is_some_and(|fields| fields.0["f:spec"].get("f:replicas").is_some());
    let managers = object.managed_fields().iter().filter(sets).filter_map(|entry| entry.manager.clone());
    managers.filter(|manager| manager != MANAGER && manager != HANDOVER).collect()
}

/// When a manager other than the operator last edited the data of a Secret.
///
/// A client that applies `stringData` with server-side apply owns that field, and the API server writes its values to `data`.
#[must_use]
pub fn data_edited_at(secret: &DynamicObject) -> Option<Timestamp> {
    let is_set = |fields: &Value| ["f:data", "f:stringData"].iter().any(|field| fields.get(field).is_some());
    let sets = |entry: &&ManagedFieldsEntry| entry.fields_v1.as_ref().is_some_and(|fields| is_set(&fields.0));
    let others = secret.managed_fields().iter().filter(sets).filter(|entry| entry.manager.as_deref() != Some(MANAGER));
    others.filter_map(|entry| entry.time.as_ref().map(|time| time.0)).max()
}

/// Whether the object declares a number of replicas.
#[must_use]
pub fn declares_replicas(declared: &Value) -> bool {
    declared["spec"].get("replicas").is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn data_of_a_secret_is_edited_through_data_and_string_data() {
        let edited_at = |manager: &str, fields: Value| {
            let entry = json!({
                "manager": manager, "operation": "Apply", "apiVersion": "v1", "time": "2026-11-30T10:00:00Z", "fieldsType": "FieldsV1",
                "fieldsV1": fields,
            });
            let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "managedFields": [entry]}});
            data_edited_at(&serde_json::from_value(secret).unwrap()).map(|time| time.to_string())
        };
        let time = Some("2026-11-30T10:00:00Z".to_owned());
        assert_eq!(edited_at("kubectl", json!({"f:data": {"f:a": {}}})), time);
        assert_eq!(edited_at("kubectl", json!({"f:stringData": {"f:a": {}}})), time);
        assert_eq!(edited_at("kubectl", json!({"f:metadata": {"f:labels": {}}})), None);
        assert_eq!(edited_at(MANAGER, json!({"f:data": {"f:a": {}}})), None);
    }
}
