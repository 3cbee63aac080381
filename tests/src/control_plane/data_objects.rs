//! The objects that no edit of a spec may delete or change: claims of data volumes and generated Secrets.

use std::collections::BTreeMap;

use k8s_openapi::{
    ByteString,
    api::core::v1::{PersistentVolumeClaim, Secret},
};
use kube::ResourceExt;

use super::Namespace;

/// The uid and the data of each object, by `Kind name`.
pub type DataObjects = BTreeMap<String, (String, BTreeMap<String, ByteString>)>;

/// Lists the claims and generated Secrets of a namespace.
///
/// # Panics
/// If they cannot be listed.
pub async fn data_objects(namespace: &Namespace) -> DataObjects {
    let mut found = DataObjects::new();
    for claim in namespace.all::<PersistentVolumeClaim>().await {
        found.insert(format!("PersistentVolumeClaim {}", claim.name_any()), (claim.uid().unwrap_or_default(), BTreeMap::new()));
    }
    for secret in namespace.all::<Secret>().await {
        if secret.labels().contains_key("app.kubernetes.io/managed-by") {
            found.insert(format!("Secret {}", secret.name_any()), (secret.uid().unwrap_or_default(), secret.data.unwrap_or_default()));
        }
    }
    found
}
