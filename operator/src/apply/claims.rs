//! Applies `PersistentVolumeClaims`. A rejected edit doesn't block other objects, and an unbound claim is replaced.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{
    ResourceExt,
    api::{DynamicObject, Preconditions},
};
use serde_json::Value;

use super::{
    Apply,
    owner::{Owner, owner},
    with_applied_hash,
};
use crate::{
    crd::Quantity,
    error::Error,
    kinds::Kind,
    live::{claims::claim_facts, managers::owns},
    validate::Skipped,
};

impl Apply<'_> {
    /// Applies the claims of the data volumes.
    ///
    /// # Errors
    /// If the API server is unavailable, a claim cannot be created, or its name is taken.
    pub(super) async fn claims(&mut self, claims: &[PersistentVolumeClaim]) -> Result<(), Error> {
        for claim in claims {
            let declared = with_applied_hash(serde_json::to_value(claim)?);
            let name = claim.name_any();
            self.read_unlisted(Kind::PersistentVolumeClaim, &name).await?;
            if self.is_replaced(&name, &declared).await? {
                self.wanted.push((Kind::PersistentVolumeClaim, name));
                continue;
            }
            match self.apply_object(Kind::PersistentVolumeClaim, declared).await {
                Err(error) if error.is_rejected() && self.live.get(Kind::PersistentVolumeClaim, &name).is_some() => {
                    let class = self.live.get(Kind::PersistentVolumeClaim, &name).and_then(|live| claim_facts(live).storage_class_name);
                    let path = format!("PersistentVolumeClaim {name} (storage class {})", class.as_deref().unwrap_or("none"));
                    self.skipped.push(Skipped { path, message: error.to_string() });
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// Deletes an unbound claim that differs from its declaration, as its size and class are immutable. Returns whether the claim
    /// is still terminating.
    async fn is_replaced(&mut self, name: &str, declared: &Value) -> Result<bool, Error> {
        let Some(live) = self.live.get(Kind::PersistentVolumeClaim, name) else { return Ok(false) };
        let is_ours = !matches!(owner(live, self.name, self.uid), Owner::Other(_));
        // A user who restores a volume creates the claim, perhaps with a data source.
        let is_restore = !owns(live, "resources") || !live.data["spec"]["dataSourceRef"].is_null();
        if !is_ours || is_restore || !is_replaceable(live, declared) {
            return Ok(false);
        }
        if live.metadata.deletion_timestamp.is_none() {
            // A claim that was bound since it was read must not be deleted.
            let preconditions = Preconditions { uid: live.uid(), resource_version: live.resource_version() };
            self.delete(
                vec![(Kind::PersistentVolumeClaim, name.to_owned(), preconditions)],
                "it has no volume, and the Catalog declares another size or class",
            )
            .await?;
        }
        self.live.remove(Kind::PersistentVolumeClaim, name);
        self.read_unlisted(Kind::PersistentVolumeClaim, name).await?;
        Ok(self.live.get(Kind::PersistentVolumeClaim, name).is_some())
    }
}

/// Whether a claim is unbound and requests another size or class than declared.
fn is_replaceable(live: &DynamicObject, declared: &Value) -> bool {
    let found = claim_facts(live);
    let size = declared["spec"]["resources"]["requests"]["storage"].as_str().map(Quantity::from);
    let size_differs = size.is_some_and(|size| size.amount().ok() != found.storage.amount().ok());
    let class = declared["spec"]["storageClassName"].as_str();
    let class_differs = match class {
        Some(class) => found.storage_class_name.as_deref() != Some(class),
        None => owns(live, "storageClassName"),
    };
    !found.is_bound && live.data["status"]["phase"] == "Pending" && (size_differs || class_differs)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claim(storage: &str, class: Option<&str>, status: &Value) -> Value {
        json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "shop-postgres-data"}, "status": status,
            "spec": {"resources": {"requests": {"storage": storage}}, "storageClassName": class},
        })
    }

    #[test]
    fn only_an_unbound_claim_with_another_size_or_class_is_replaced() {
        let declared = claim("5Gi", Some("fast"), &json!({}));
        let replaceable = |live: Value| is_replaceable(&serde_json::from_value(live).unwrap(), &declared);
        let (pending, bound) = (json!({"phase": "Pending"}), json!({"phase": "Bound"}));
        assert!(replaceable(claim("60Gi", Some("fast"), &pending)));
        assert!(replaceable(claim("5Gi", Some("typo"), &pending)));
        assert!(!replaceable(claim("5120Mi", Some("fast"), &pending)));
        assert!(!replaceable(claim("60Gi", Some("typo"), &bound)));
        assert!(!replaceable(claim("60Gi", Some("typo"), &json!({"phase": "Lost"}))), "its data may be restored");
    }
}
