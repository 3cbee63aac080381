//! The status of a Catalog.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The observed state of a shop.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CatalogStatus {
    /// Generation of the spec that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions, one of each type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(!default, extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Ready and desired pods of each role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<Replicas>,
    /// Release that the API runs. During a rollout this is the previous release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The database that the shop uses, as the last migration reported it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseStatus>,
    /// The volume that the embedded NATS uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messaging: Option<MessagingStatus>,
    /// Rotations that annotations request for a later time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled_rotations: Option<ScheduledRotations>,
    /// URL of the API in the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The last spec that was applied in full. The operator restores objects from it while a newer spec is rejected or its migration
    /// hasn't succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_applied: Option<LastApplied>,
}

/// A spec that was applied in full.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastApplied {
    /// Generation of this spec.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The spec as JSON, with the image tag that was applied.
    pub spec: String,
}

/// The database that the shop uses, as the last migration reported it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseStatus {
    /// Installation id in the database. Later migrations require it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub installation_id: Option<String>,
    /// Uid of the embedded database's `PersistentVolumeClaim`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim_uid: Option<String>,
    /// Name of the migration Job that reported it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub migration: Option<String>,
    /// The value of the annotation catalog.rs/abandon-installation that last took effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abandoned: Option<String>,
}

/// Rotations that annotations request for a later time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduledRotations {
    /// When the signing keys are rotated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_keys: Option<Time>,
    /// When the password of the embedded database is rotated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_password: Option<Time>,
}

/// The volume that the embedded NATS uses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessagingStatus {
    /// Uid of its bound `PersistentVolumeClaim`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim_uid: Option<String>,
    /// When a new volume replaced the previous one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_replaced_at: Option<Time>,
}

/// Ready and desired pods of each role, as `ready/desired`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Replicas {
    /// Pods of the API.
    pub api: String,
    /// Pods of the notifier.
    pub notifier: String,
    /// Pods of the tracker.
    pub tracker: String,
    /// Pods of the fulfiller. A status that an older operator wrote doesn't have it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fulfiller: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_without_the_fulfiller_is_read() {
        let status = json!({"observedGeneration": 3, "replicas": {"api": "2/2", "notifier": "1/1", "tracker": "1/1"}});
        let status: CatalogStatus = serde_json::from_value(status).unwrap();
        assert_eq!(status.replicas.unwrap().fulfiller, "");
    }
}
