//! The `messaging` field of the spec.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Quantity, Resources, SecretKeyRef, quantity::volume_size};

/// The NATS servers: exactly one of `embedded` and `external`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.embedded) != has(self.external)",
    "message": "set exactly one of messaging.embedded (one NATS pod) and messaging.external (existing NATS servers)"
}]))]
pub struct Messaging {
    /// One NATS pod with `JetStream`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedded: Option<EmbeddedMessaging>,
    /// Existing NATS servers with `JetStream`, which the operator doesn't manage. They must accept messages of 8 MB (`max_payload`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalMessaging>,
}

/// One NATS pod with `JetStream`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EmbeddedMessaging {
    /// Size of the data volume, at least `2Gi`. A bound claim cannot shrink; it can grow if its storage class allows expansion.
    #[schemars(schema_with = "stream_volume_size")]
    pub storage: Quantity,
    /// Storage class of the data volume. Defaults to that of the cluster. It cannot be changed once the claim is bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
    /// The official `nats` image or a compatible one, NATS 2.11 or later.
    #[schemars(length(min = 1, max = 512))]
    pub image: String,
    /// CPU and memory. Defaults to requests of 50m and 64Mi and a memory limit of 512Mi.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

impl Default for EmbeddedMessaging {
    fn default() -> Self {
        Self { storage: "2Gi".into(), storage_class_name: None, image: "nats:2".into(), resources: None }
    }
}

/// The streams reserve more than 1 GiB, and NATS rejects a stream that doesn't fit into the volume.
fn stream_volume_size(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let mut schema = volume_size(generator);
    if let Some(serde_json::Value::Array(rules)) = schema.get_mut("x-kubernetes-validations") {
        rules.push(serde_json::json!({
            "rule": "!isQuantity(self) || quantity(self).compareTo(quantity('2Gi')) >= 0",
            "message": "use at least 2Gi, because the streams reserve more than 1Gi"
        }));
    }
    schema
}

/// Existing NATS servers with `JetStream`, which the operator doesn't manage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.url) != has(self.urlSecretRef)",
    "message": "set exactly one of messaging.external.url and, for a URL that contains a password or a token, messaging.external.urlSecretRef"
}]))]
pub struct ExternalMessaging {
    /// Server URLs, `nats://host:port` or `tls://host:port`, separated by commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024), extend("x-kubernetes-validations" = [
        {
            "rule": "!self.contains('@')",
            "message": "this field must not contain credentials: put the URL into a Secret and reference it in messaging.external.urlSecretRef"
        },
        {
            "rule": r"self.contains('@') || self.matches('^(nats|tls)://([A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\])(:[0-9]+)?(,(nats|tls)://([A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\])(:[0-9]+)?)*$')",
            "message": "use nats://host:port or tls://host:port, and separate several by commas without spaces"
        }
    ]))]
    pub url: Option<String>,
    /// Key of a Secret that holds server URLs with user and password or a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_secret_ref: Option<SecretKeyRef>,
    /// Key of a Secret that holds a credentials file (JWT and nkey seed).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<SecretKeyRef>,
    /// Key of a Secret that holds CA certificates (PEM) to trust. TLS is then required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyRef>,
    /// `host:port` of the HTTP monitoring endpoint, from which KEDA reads the lag of the workers. A host without a dot is a Service
    /// of this namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 261), extend("x-kubernetes-validations" = [{
        "rule": r"self.matches('^([A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\]):[0-9]+$')",
        "message": "use host:port without a scheme, such as nats.example.com:8222"
    }]))]
    pub monitoring_endpoint: Option<String>,
    /// NATS account of the streams, as the monitoring endpoint names it.
    #[serde(default = "global_account")]
    #[schemars(length(min = 1, max = 253))]
    pub account: String,
}

/// The account of servers that don't configure accounts.
fn global_account() -> String {
    "$G".into()
}
