//! What the pods of a role are like.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, Toleration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Quantity, SecretKeyRef};

/// What the pods of a role are like.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Pod {
    /// CPU and memory. Absent: a request of 100m and 64Mi and a memory limit of 256Mi.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Labels that a node must have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that don't keep the pods away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub tolerations: Vec<Toleration>,
    /// Where the pods like to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// Further annotations of the pods.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32, "x-kubernetes-validations" = [{
        "rule": "self.all(key, !key.startsWith('catalog.rs/'))",
        "message": "annotations of catalog.rs are the operator's own: use another prefix"
    }]))]
    pub annotations: BTreeMap<String, String>,
    /// Further environment variables, such as `ACCESS_LOG_SAMPLE` or `RUST_LOG`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub env: Vec<EnvVar>,
}

/// CPU and memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Resources {
    /// What a pod is sure to get, such as `{cpu: 100m, memory: 64Mi}`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub requests: BTreeMap<String, Quantity>,
    /// What a pod cannot exceed, such as `{memory: 256Mi}`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub limits: BTreeMap<String, Quantity>,
}

/// An environment variable: `value` or `valueFrom`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.value) != has(self.valueFrom)",
    "message": "give exactly one of value and valueFrom"
}]))]
pub struct EnvVar {
    /// Name, such as `RUST_LOG`.
    #[schemars(length(max = 253), extend("x-kubernetes-validations" = [
        {
            "rule": "self.matches('^[A-Za-z_][A-Za-z0-9_]*$')",
            "message": "the name of a variable is made of letters, digits and '_' and doesn't start with a digit"
        },
        {
            "rule": reserved_rule(),
            "message": "the operator sets this variable itself: use the field of the Catalog that it comes from (HTTP_ADDRESS and OPS_ADDRESS have none: they are all IPv4 and IPv6 addresses)"
        }
    ]))]
    pub name: String,
    /// Value. `$(NAME)` isn't expanded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub value: Option<String>,
    /// Where the value comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_from: Option<EnvVarSource>,
}

/// Where the value of an environment variable comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvVarSource {
    /// One key of a Secret.
    pub secret_key_ref: SecretKeyRef,
}

/// How the names of variables start that the operator sets itself.
const RESERVED: [&str; 14] = [
    "AUTH_ACCESS_TOKEN_TTL",
    "AUTH_REFRESH_TOKEN_TTL",
    "AUTH_SIGNING_KEYS_DIR",
    "CURRENCY",
    "DATABASE_URL",
    "EVENTS_PREFIX",
    "HTTP_ADDRESS",
    "MAIL_",
    "NATS_",
    "OPS_ADDRESS",
    "PG",
    "PUBLIC_URL",
    "SHUTDOWN_TIMEOUT",
    "SUPERUSER_",
];

fn reserved_rule() -> String {
    format!("!self.matches('^({})')", RESERVED.join("|"))
}
