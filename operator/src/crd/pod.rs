//! Settings of the pods of a role.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, Toleration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Quantity, SecretKeyRef};

/// Settings of the pods of a role.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Pod {
    /// CPU and memory. Defaults to requests of 100m and 64Mi and a memory limit of 256Mi.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Labels that a node must have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the pods tolerate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub tolerations: Vec<Toleration>,
    /// Affinity of the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// Additional annotations of the pods.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32, "x-kubernetes-validations" = [{
        "rule": "self.all(key, !key.startsWith('catalog.rs/'))",
        "message": "the prefix catalog.rs/ is reserved for the operator: use another prefix"
    }]))]
    pub annotations: BTreeMap<String, String>,
    /// Additional environment variables, such as `ACCESS_LOG_SAMPLE` or `RUST_LOG`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub env: Vec<EnvVar>,
}

/// CPU and memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Resources {
    /// What is reserved for a pod, such as `{cpu: 100m, memory: 64Mi}`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub requests: BTreeMap<String, Quantity>,
    /// What a pod must not exceed, such as `{memory: 256Mi}`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub limits: BTreeMap<String, Quantity>,
}

/// An environment variable: `value` or `valueFrom`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.value) != has(self.valueFrom)",
    "message": "set exactly one of value and valueFrom"
}]))]
pub struct EnvVar {
    /// Name of the variable, such as `RUST_LOG`.
    #[schemars(length(max = 253), extend("x-kubernetes-validations" = [
        {
            "rule": "self.matches('^[A-Za-z_][A-Za-z0-9_]*$')",
            "message": "use only letters, digits and '_' in the name of a variable, and start with a letter or '_'"
        },
        {
            "rule": reserved_rule(),
            "message": "the operator sets this variable: use the field of the Catalog instead (HTTP_ADDRESS and OPS_ADDRESS have none: the processes listen on all IPv4 and IPv6 addresses)"
        }
    ]))]
    pub name: String,
    /// Value of the variable. `$(NAME)` isn't expanded.
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

/// Prefixes of the variables that the operator sets.
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
