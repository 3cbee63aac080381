//! Where the data lives.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Quantity, Resources, SecretKeyRef, SecretRef, quantity::volume_size};

/// Where the data lives: exactly one of the two.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.embedded) != has(self.external)",
    "message": "give exactly one of database.embedded (one PostgreSQL pod, for development) and database.external (a PostgreSQL that somebody else runs)"
}]))]
pub struct Database {
    /// One PostgreSQL pod, for development: no replica, no backup.
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
    /// Size of the data volume, such as `5Gi`. Once the claim is bound it can grow, where the storage class allows it, but not shrink.
    #[schemars(schema_with = "volume_size")]
    pub storage: Quantity,
    /// Storage class of the data volume. Absent: the cluster's default. It cannot be changed once the claim is bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
    /// An image that keeps the contract of the official `postgres` image, PostgreSQL 15 or later.
    #[schemars(length(min = 1, max = 512))]
    pub image: String,
    /// CPU and memory. Absent: a request of 100m and 256Mi and a memory limit of 1Gi.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

impl Default for EmbeddedDatabase {
    fn default() -> Self {
        Self { storage: "5Gi".into(), storage_class_name: None, image: "postgres:18".into(), resources: None }
    }
}

/// A PostgreSQL that somebody else runs: either its Secret holds a URI, as those of `CloudNativePG` and
/// Crunchy do, or `host` is given and the Secret holds user name and password, as those of Zalando do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "has(self.host) || (!has(self.port) && !has(self.database))",
        "message": "port and database go with host: give host too, or leave all three to the URI in the Secret"
    },
    {
        "rule": "!has(self.caSecretRef) || (has(self.sslMode) && self.sslMode in ['VerifyCa', 'VerifyFull'])",
        "message": "a CA is only used to verify: set sslMode to VerifyFull or VerifyCa"
    }
]))]
pub struct ExternalDatabase {
    /// The Secret that says how to reach it.
    pub secret_ref: SecretRef,
    /// Where in the Secret to look.
    #[serde(default)]
    pub keys: DatabaseKeys,
    /// Host name or address; a name without a dot is a Service of this namespace. Absent: the URI in the Secret says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253), extend("x-kubernetes-validations" = [{
        "rule": "isIP(self) || self.matches('^[A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?([.][A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?)*[.]?$')",
        "message": "give a host name or an IP address such as db.example.com, without a scheme or a port"
    }]))]
    pub host: Option<String>,
    /// Port, with `host`. Absent: 5432.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// Name of the database, with `host`. Absent: `catalog`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), extend("x-kubernetes-validations" = [{
        "rule": "self.matches('^[A-Za-z0-9_][A-Za-z0-9_-]*$')",
        "message": "the name of the database is made of letters, digits, '_' and '-'"
    }]))]
    pub database: Option<String>,
    /// Encryption of the connection. Absent: as the URI says, otherwise `Prefer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssl_mode: Option<SslMode>,
    /// CA certificates (PEM) that the server's certificate must come from. Absent: the usual public ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyRef>,
}

/// Keys of the database's Secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DatabaseKeys {
    /// Key of the URI, `postgres://user:password@host:port/name`. Used without `host`.
    #[schemars(length(min = 1, max = 253))]
    pub uri: String,
    /// Key of the user name. Used with `host`.
    #[schemars(length(min = 1, max = 253))]
    pub username: String,
    /// Key of the password. Used with `host`.
    #[schemars(length(min = 1, max = 253))]
    pub password: String,
}

impl Default for DatabaseKeys {
    fn default() -> Self {
        Self { uri: "uri".into(), username: "username".into(), password: "password".into() }
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

impl SslMode {
    /// As libpq spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}
