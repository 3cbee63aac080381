//! The plan: a validated spec with all defaults resolved. The builders make no further decisions.

mod database;

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use crate::crd::{MailTls, PullPolicy, Quantity, Resources};

pub use self::database::{DatabasePlan, EmbeddedDatabasePlan, ExternalDatabasePlan, InstallationPlan, PostgresAddress};
pub use super::role_plan::{ApiScale, RolePlan, WorkerScale};
use super::worker::WorkerRole;

/// A validated spec with all defaults resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The Catalog that owns the objects.
    pub shop: Shop,
    /// The image of all roles.
    pub release: Release,
    /// Currency code of ISO 4217.
    pub currency: String,
    /// URL of the API, without a trailing slash.
    pub public_url: String,
    /// Prefix of the names of streams and of subjects.
    pub events_prefix: String,
    /// The PostgreSQL database.
    pub database: DatabasePlan,
    /// The installation that the database must be.
    pub installation: InstallationPlan,
    /// The NATS servers.
    pub messaging: MessagingPlan,
    /// The SMTP server.
    pub mail: MailPlan,
    /// Tokens, signing keys and the superuser.
    pub auth: AuthPlan,
    /// The API.
    pub api: RolePlan<ApiScale>,
    /// The notifier.
    pub notifier: RolePlan<WorkerScale>,
    /// The tracker.
    pub tracker: RolePlan<WorkerScale>,
    /// The fulfiller.
    pub fulfiller: RolePlan<WorkerScale>,
    /// Whether data volumes and generated Secrets are kept when the Catalog is deleted.
    pub retain: bool,
    /// SHA-256 of each value of each Secret that was read, by name and key.
    pub digests: BTreeMap<String, BTreeMap<String, [u8; 32]>>,
    /// Uids of the generated Secrets that exist, by name.
    pub existing_secrets: BTreeMap<String, Option<String>>,
    /// Parts of the spec that are not applied, because this cluster cannot provide them.
    pub skipped: Vec<Skipped>,
}

impl Plan {
    /// Returns the workers in the order in which they are built.
    #[must_use]
    pub fn workers(&self) -> [(WorkerRole, &RolePlan<WorkerScale>); 3] {
        [(WorkerRole::Notifier, &self.notifier), (WorkerRole::Tracker, &self.tracker), (WorkerRole::Fulfiller, &self.fulfiller)]
    }
}

/// The Catalog that owns the objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shop {
    /// Name of the Catalog.
    pub name: String,
    /// Namespace of the Catalog.
    pub namespace: String,
    /// Uid of the Catalog. `None` if it was not read from a cluster.
    pub uid: Option<String>,
}

impl Shop {
    /// Returns the name of the objects of a part.
    #[must_use]
    pub fn named(&self, part: &str) -> String {
        format!("{}-{part}", self.name)
    }
}

/// The image of all roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Repository and tag.
    pub image: String,
    /// Tag.
    pub version: String,
    /// When nodes pull it.
    pub pull_policy: PullPolicy,
    /// Secrets with the credentials of the registry.
    pub pull_secrets: Vec<String>,
}

/// A key of a Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretKey {
    /// Name of the Secret.
    pub secret: String,
    /// Key in the Secret.
    pub key: String,
}

/// A data volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Name of the claim.
    pub claim: String,
    /// Requested size.
    pub size: Quantity,
    /// Storage class, if not the default of the cluster.
    pub storage_class: Option<String>,
}

/// The NATS servers.
#[derive(Debug, Clone, PartialEq)]
pub enum MessagingPlan {
    /// One NATS pod.
    Embedded(EmbeddedMessagingPlan),
    /// Existing NATS servers.
    External(ExternalMessagingPlan),
}

/// One NATS pod.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddedMessagingPlan {
    /// Data volume.
    pub volume: Volume,
    /// Maximum size of all streams, in bytes.
    pub stream_bytes: u64,
    /// Container image.
    pub image: String,
    /// CPU and memory.
    pub resources: Resources,
    /// The generated password.
    pub password: SecretKey,
}

/// Existing NATS servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalMessagingPlan {
    /// Server URLs.
    pub servers: NatsServers,
    /// Credentials file.
    pub credentials: Option<SecretKey>,
    /// CA certificates to trust.
    pub ca: Option<SecretKey>,
    /// `host:port` of the HTTP monitoring endpoint.
    pub monitoring_endpoint: Option<String>,
    /// Account of the streams.
    pub account: String,
}

/// Server URLs, or the Secret that contains them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NatsServers {
    /// URLs without credentials.
    Plain(String),
    /// URLs with credentials.
    Secret(SecretKey),
}

/// The SMTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailPlan {
    /// Host name.
    pub server: String,
    /// Port.
    pub port: i32,
    /// Encryption of the connection.
    pub tls: MailTls,
    /// Sender, with or without a display name.
    pub from: String,
    /// Address of the sender, without a display name.
    pub address: String,
    /// User name and password.
    pub credentials: Option<(SecretKey, SecretKey)>,
}

/// Tokens, signing keys and the superuser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthPlan {
    /// Lifetime of an access token.
    pub access_token_life: Duration,
    /// Lifetime of a refresh token.
    pub refresh_token_life: Duration,
    /// Age at which a new signing key replaces the current one.
    pub rotation: Duration,
    /// A signing key that was created before this instant is replaced, even if it is younger than `rotation`.
    pub rotate: Option<Timestamp>,
    /// The Secret with the signing keys.
    pub signing_keys: String,
    /// The superuser.
    pub superuser: Superuser,
}

/// The Secret with `username`, `email` and `password` of the superuser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Superuser {
    /// The operator generates it.
    Generated(String),
    /// The spec references it.
    Referenced(String),
}

impl Superuser {
    /// Returns the name of the Secret.
    #[must_use]
    pub fn secret(&self) -> &str {
        match self {
            Self::Generated(name) | Self::Referenced(name) => name,
        }
    }
}

/// A part of the spec that is not applied, because this cluster cannot provide it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Path of the field.
    pub path: String,
    /// Why it is not applied, and what is applied instead.
    pub message: String,
}
