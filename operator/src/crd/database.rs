//! Where the data lives.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Quantity, Resources, SecretKeyRef, SecretRef};

/// Where the data lives: exactly one of the two.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Database {
    /// One PostgreSQL pod, for development.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedded: Option<EmbeddedDatabase>,
    /// A PostgreSQL that somebody else runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalDatabase>,
}

/// One PostgreSQL pod, for development: no replica, no backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EmbeddedDatabase {
    /// Size of the data volume. It can grow, never shrink.
    pub storage: Quantity,
    /// Storage class of the data volume. Absent: the cluster's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class_name: Option<String>,
    /// Image that honours the contract of the official `postgres` image.
    pub image: String,
    /// CPU and memory.
    pub resources: Resources,
}

impl Default for EmbeddedDatabase {
    fn default() -> Self {
        Self { storage: "5Gi".into(), storage_class_name: None, image: "postgres:18".into(), resources: Resources::default() }
    }
}

/// A PostgreSQL that somebody else runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalDatabase {
    /// The Secret that says how to reach it.
    pub secret_ref: SecretRef,
    /// Where in the Secret to look.
    #[serde(default)]
    pub keys: DatabaseKeys,
    /// Encryption of the connection. Absent: as the URI says, else `Prefer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssl_mode: Option<SslMode>,
    /// CA certificates to trust, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyRef>,
}

/// Keys of the database's Secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DatabaseKeys {
    /// Key of the connection URI, `postgres://user:password@host:port/name`.
    #[schemars(length(min = 1, max = 253))]
    pub uri: String,
}

impl Default for DatabaseKeys {
    fn default() -> Self {
        Self { uri: "uri".into() }
    }
}

/// Encryption of a PostgreSQL connection, as `sslmode` of libpq.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SslMode {
    /// Never.
    Disable,
    /// If the server offers it.
    Prefer,
    /// Always; the certificate isn't checked.
    Require,
    /// Always; the certificate must come from a trusted CA.
    VerifyCa,
    /// Always; the certificate must come from a trusted CA and name the host.
    VerifyFull,
}
