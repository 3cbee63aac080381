//! Ownership of objects.

use kube::{ResourceExt, api::DynamicObject};

use crate::live::{is_labelled, managers::has_applied};

/// The owner of an object, as seen by one Catalog.
#[derive(Debug, PartialEq, Eq)]
pub enum Owner {
    /// This Catalog controls the object.
    This,
    /// The object has no controller. It was created for a Catalog of this name and retained when that was deleted: it has the
    /// Catalog's labels or, if they were removed, the operator's entry in `managedFields`. (Two Catalogs never share a name of a
    /// retained object.)
    Kept,
    /// Another owner, as text for an error.
    Other(String),
}

/// Finds the owner of `object`, as seen by the Catalog of that name and uid.
#[must_use]
pub fn owner(object: &DynamicObject, name: &str, uid: &str) -> Owner {
    match object.owner_references().iter().find(|owner| owner.controller == Some(true)) {
        Some(owner) if owner.uid == uid => Owner::This,
        Some(owner) if owner.kind == "Catalog" && owner.name == name => Owner::Other(format!("owned by the deleted Catalog {name}")),
        Some(owner) => Owner::Other(format!("owned by {} {}", owner.kind, owner.name)),
        None if is_labelled(object.labels(), name) || has_applied(object) => Owner::Kept,
        None => Owner::Other("not owned by this Catalog".into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(metadata: &serde_json::Value) -> DynamicObject {
        serde_json::from_value(json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata})).unwrap()
    }

    #[test]
    fn a_catalog_owns_objects_that_it_controls_without_its_labels() {
        let owner_reference =
            json!({"apiVersion": "catalog.rs/v1alpha1", "kind": "Catalog", "name": "shop", "uid": "1", "controller": true});
        let object = object(&json!({"name": "shop-api", "ownerReferences": [owner_reference]}));
        assert_eq!(owner(&object, "shop", "1"), Owner::This);
        assert_eq!(owner(&object, "shop", "2"), Owner::Other("owned by the deleted Catalog shop".into()));
    }

    #[test]
    fn a_retained_object_is_recognised_by_labels_or_managed_fields() {
        let labels = json!({"app.kubernetes.io/instance": "shop", "app.kubernetes.io/managed-by": "catalog-operator"});
        assert_eq!(owner(&object(&json!({"name": "shop-postgres", "labels": labels})), "shop", "1"), Owner::Kept);
        assert_eq!(owner(&object(&json!({"name": "shop-postgres"})), "shop", "1"), Owner::Other("not owned by this Catalog".into()));
        let entry = json!({"manager": "catalog-operator", "operation": "Apply", "fieldsV1": {}});
        assert_eq!(owner(&object(&json!({"name": "shop-postgres", "managedFields": [entry]})), "shop", "1"), Owner::Kept);
    }
}
