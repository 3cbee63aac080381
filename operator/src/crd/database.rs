//! The `database` field of the spec.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Quantity, Resources, SecretKeyRef, SecretRef, quantity::volume_size};

/// The PostgreSQL database: exactly one of `embedded` and `external`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.embedded) != has(self.external)",
    "message": "set exactly one of database.embedded (one PostgreSQL pod, for development) and database.external (an existing PostgreSQL)"
}]))]
pub struct Database {
    /// One PostgreSQL pod for development, without replicas and backups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedded: Option<EmbeddedDatabase>,
    /// An existing PostgreSQL, which the operator doesn't manage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalDatabase>,
}

/// One PostgreSQL pod for development, without replicas and backups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EmbeddedDatabase {
    /// Size of the data volume, such as `5Gi`. A bound claim cannot shrink; it can grow if its storage class allows expansion.
    #[schemars(schema_with = "volume_size")]
    pub storage: Quantity,
    /// Storage class of the data volume. Defaults to that of the cluster. It cannot be changed once the claim is bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
    /// The official `postgres` image or a compatible one, PostgreSQL 15 or later.
    #[schemars(length(min = 1, max = 512))]
    pub image: String,
    /// CPU and memory. Defaults to requests of 100m and 256Mi and a memory limit of 1Gi.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

impl Default for EmbeddedDatabase {
    fn default() -> Self {
        Self { storage: "5Gi".into(), storage_class_name: None, image: "postgres:18".into(), resources: None }
    }
}

/// An existing PostgreSQL. Its Secret contains a URI, as those of the `CloudNativePG` and Crunchy operators do; or `host` is set and
/// the Secret contains user name and password, as those of the Zalando operator do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "has(self.host) || (!has(self.port) && !has(self.database))",
        "message": "port and database require host: set host too, or put all three into the URI in the Secret"
    },
    {
        "rule": "!has(self.caSecretRef) || (has(self.sslMode) && self.sslMode in ['VerifyCa', 'VerifyFull'])",
        "message": "caSecretRef is only used to verify certificates: set sslMode to VerifyFull or VerifyCa"
    }
]))]
pub struct ExternalDatabase {
    /// The Secret with the URI, or with user name and password.
    pub secret_ref: SecretRef,
    /// Keys of the values in the Secret.
    #[serde(default)]
    pub keys: DatabaseKeys,
    /// Host name or address. A name without a dot is a Service of this namespace. If unset, the URI in the Secret is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253), extend("x-kubernetes-validations" = [{
        "rule": "isIP(self) || self.matches('^[A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?([.][A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?)*[.]?$')",
        "message": "use a host name or an IP address such as db.example.com, without a scheme or a port"
    }]))]
    pub host: Option<String>,
    /// Port, used with `host`. Defaults to 5432.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// Name of the database, used with `host`. Defaults to `catalog`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), extend("x-kubernetes-validations" = [{
        "rule": "self.matches('^[A-Za-z0-9_][A-Za-z0-9_-]*$')",
        "message": "use only letters, digits, '_' and '-' in the name of the database"
    }]))]
    pub database: Option<String>,
    /// Encryption of the connection. Defaults to `sslmode` in the URI, or else to `Prefer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssl_mode: Option<SslMode>,
    /// CA certificates (PEM) to verify the server's certificate with. Defaults to the public CAs.
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
    /// No encryption.
    Disable,
    /// Encryption if the server supports it.
    Prefer,
    /// Encryption without verification of the certificate.
    Require,
    /// Encryption; the certificate must be issued by a trusted CA.
    VerifyCa,
    /// Encryption; the certificate must be issued by a trusted CA and name the host.
    VerifyFull,
}

impl SslMode {
    /// The value of libpq's `sslmode`.
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
