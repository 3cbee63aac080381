//! What no edit may take away: data volumes and generated Secrets.

use std::collections::BTreeMap;

use k8s_openapi::{
    ByteString,
    api::core::v1::{PersistentVolumeClaim, Secret},
};
use kube::ResourceExt;

use super::Namespace;

/// By `Kind name`: which object it is, by its uid, and what is in it.
pub type Kept = BTreeMap<String, (String, BTreeMap<String, ByteString>)>;

/// The claims and generated Secrets of a namespace.
///
/// # Panics
/// If they cannot be listed.
pub async fn kept(namespace: &Namespace) -> Kept {
    let mut kept = Kept::new();
    for claim in namespace.all::<PersistentVolumeClaim>().await {
        kept.insert(format!("PersistentVolumeClaim {}", claim.name_any()), (claim.uid().unwrap_or_default(), BTreeMap::new()));
    }
    for secret in namespace.all::<Secret>().await {
        if secret.labels().contains_key("app.kubernetes.io/managed-by") {
            kept.insert(format!("Secret {}", secret.name_any()), (secret.uid().unwrap_or_default(), secret.data.unwrap_or_default()));
        }
    }
    kept
}
