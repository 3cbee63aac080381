//! What carries the events.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Quantity, Resources, SecretKeyRef};

/// What carries the events: exactly one of the two.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Messaging {
    /// One NATS pod with JetStream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedded: Option<EmbeddedMessaging>,
    /// A NATS that somebody else runs, with JetStream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalMessaging>,
}

/// One NATS pod with JetStream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EmbeddedMessaging {
    /// Size of the data volume. It can grow, never shrink.
    pub storage: Quantity,
    /// Storage class of the data volume. Absent: the cluster's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class_name: Option<String>,
    /// Image that honours the contract of the official `nats` image.
    pub image: String,
    /// CPU and memory.
    pub resources: Resources,
}

impl Default for EmbeddedMessaging {
    fn default() -> Self {
        Self { storage: "2Gi".into(), storage_class_name: None, image: "nats:2".into(), resources: Resources::default() }
    }
}

/// A NATS that somebody else runs, with JetStream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalMessaging {
    /// Servers, `nats://host:port` or `tls://host:port`, several separated by commas.
    pub url: String,
    /// Credentials file (JWT and nkey seed).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<SecretKeyRef>,
    /// CA certificates to trust, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyRef>,
    /// `host:port` of the monitoring endpoint, from which KEDA reads the lag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitoring_endpoint: Option<String>,
}
