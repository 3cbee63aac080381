//! Whose an object is.

use kube::{ResourceExt, api::DynamicObject};

use super::managers::has_applied;
use crate::live::is_labelled;

/// Whose an object is, as seen by one Catalog.
#[derive(Debug, PartialEq, Eq)]
pub enum Owner {
    /// This Catalog's.
    This,
    /// Nobody's, but made for a Catalog of this name, and kept when that was deleted: it has its labels, or, if somebody took
    /// those away, the operator's mark in its `managedFields`. (Names of kept objects are never those of two Catalogs.)
    Kept,
    /// Of something else, described for people.
    Other(String),
}

/// Whose `object` is, as seen by the Catalog of that name and uid.
#[must_use]
pub fn owner(object: &DynamicObject, name: &str, uid: &str) -> Owner {
    match object.owner_references().iter().find(|owner| owner.controller == Some(true)) {
        Some(owner) if owner.uid == uid => Owner::This,
        Some(owner) if owner.kind == "Catalog" && owner.name == name => {
            Owner::Other(format!("still there of the Catalog {name} that was deleted"))
        }
        Some(owner) => Owner::Other(format!("owned by the {} {}", owner.kind, owner.name)),
        None if is_labelled(object.labels(), name) || has_applied(object) => Owner::Kept,
        None => Owner::Other("not made for this Catalog".into()),
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
    fn what_this_catalog_controls_is_its_own_whatever_its_labels() {
        let owner_reference =
            json!({"apiVersion": "catalog.rs/v1alpha1", "kind": "Catalog", "name": "shop", "uid": "1", "controller": true});
        let object = object(&json!({"name": "shop-api", "ownerReferences": [owner_reference]}));
        assert_eq!(owner(&object, "shop", "1"), Owner::This);
        assert_eq!(owner(&object, "shop", "2"), Owner::Other("still there of the Catalog shop that was deleted".into()));
    }

    #[test]
    fn what_was_kept_is_known_by_its_labels() {
        let labels = json!({"app.kubernetes.io/instance": "shop", "app.kubernetes.io/managed-by": "catalog-operator"});
        assert_eq!(owner(&object(&json!({"name": "shop-postgres", "labels": labels})), "shop", "1"), Owner::Kept);
        assert_eq!(owner(&object(&json!({"name": "shop-postgres"})), "shop", "1"), Owner::Other("not made for this Catalog".into()));
        let entry = json!({"manager": "catalog-operator", "operation": "Apply", "fieldsV1": {}});
        assert_eq!(owner(&object(&json!({"name": "shop-postgres", "managedFields": [entry]})), "shop", "1"), Owner::Kept);
    }
}
