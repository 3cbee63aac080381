//! What the operator reports.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// What the operator reports.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CatalogStatus {
    /// Generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions, one of each type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(!default, extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Ready and desired pods of each role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<Replicas>,
    /// Release that serves; during a rollout the one before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Which database the shop works on, as the last migration reported it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseStatus>,
    /// Which volume the embedded NATS works on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messaging: Option<MessagingStatus>,
    /// How the API is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The last spec that was applied in full. Objects are restored by it while a newer spec is rejected or its migration
    /// hasn't succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_applied: Option<LastApplied>,
}

/// A spec that was applied in full.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastApplied {
    /// Its generation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The spec as JSON, with the image tag that was applied.
    pub spec: String,
}

/// Which database the shop works on, as the last migration reported it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseStatus {
    /// Installation id in the database. Further migrations expect it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub installation_id: Option<String>,
    /// Uid of the embedded database's `PersistentVolumeClaim`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim_uid: Option<String>,
    /// The migration Job that reported it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub migration: Option<String>,
}

/// Which volume the embedded NATS works on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessagingStatus {
    /// Uid of its bound `PersistentVolumeClaim`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim_uid: Option<String>,
    /// When another volume took the place of the one before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_replaced_at: Option<Time>,
}

/// Ready and desired pods of each role, as `ready/desired`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Replicas {
    /// Of the API.
    pub api: String,
    /// Of the notifier.
    pub notifier: String,
    /// Of the tracker.
    pub tracker: String,
    /// Of the fulfiller. Absent in what an operator wrote that knew none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fulfiller: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_of_an_operator_that_knew_no_fulfiller_is_understood() {
        let status = json!({"observedGeneration": 3, "replicas": {"api": "2/2", "notifier": "1/1", "tracker": "1/1"}});
        let status: CatalogStatus = serde_json::from_value(status).unwrap();
        assert_eq!(status.replicas.unwrap().fulfiller, "");
    }
}
