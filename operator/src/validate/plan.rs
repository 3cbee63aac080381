//! The plan: checked, with every default resolved. Nothing is left to decide when it is built.

mod database;

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use crate::crd::{MailTls, PullPolicy, Quantity, Resources};

pub use self::database::{DatabasePlan, EmbeddedDatabasePlan, ExternalDatabasePlan, InstallationPlan, PostgresAddress};
pub use super::scale::{ApiScale, RolePlan, WorkerScale};
use super::worker::WorkerRole;

/// A checked plan, with every default resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Whose it is.
    pub shop: Shop,
    /// The image of every role.
    pub release: Release,
    /// ISO 4217.
    pub currency: String,
    /// How the API is reached, without a trailing slash.
    pub public_url: String,
    /// What streams, subjects and consumers start with.
    pub events_prefix: String,
    /// Where the data lives.
    pub database: DatabasePlan,
    /// Which installation the database must be.
    pub installation: InstallationPlan,
    /// What carries the events.
    pub messaging: MessagingPlan,
    /// The mail server.
    pub mail: MailPlan,
    /// Sign-in.
    pub auth: AuthPlan,
    /// The API.
    pub api: RolePlan<ApiScale>,
    /// The notifier.
    pub notifier: RolePlan<WorkerScale>,
    /// The tracker.
    pub tracker: RolePlan<WorkerScale>,
    /// The fulfiller.
    pub fulfiller: RolePlan<WorkerScale>,
    /// Data volumes and generated Secrets outlive the Catalog.
    pub retain: bool,
    /// SHA-256 of every value of every known Secret, by name and key.
    pub digests: BTreeMap<String, BTreeMap<String, [u8; 32]>>,
    /// Generated Secrets that exist, by name, with their uids.
    pub kept_secrets: BTreeMap<String, Option<String>>,
    /// What was asked for and cannot be had in this cluster.
    pub skipped: Vec<Skipped>,
}

impl Plan {
    /// The workers, in the order in which they are built.
    #[must_use]
    pub fn workers(&self) -> [(WorkerRole, &RolePlan<WorkerScale>); 3] {
        [(WorkerRole::Notifier, &self.notifier), (WorkerRole::Tracker, &self.tracker), (WorkerRole::Fulfiller, &self.fulfiller)]
    }
}

/// Whose the objects are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shop {
    /// Name of the Catalog.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its uid; absent when it is only rendered.
    pub uid: Option<String>,
}

impl Shop {
    /// The name of a part.
    #[must_use]
    pub fn named(&self, part: &str) -> String {
        format!("{}-{part}", self.name)
    }
}

/// The image of every role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Repository and tag.
    pub image: String,
    /// Tag.
    pub version: String,
    /// When nodes fetch it.
    pub pull_policy: PullPolicy,
    /// Secrets with the credentials of the registry.
    pub pull_secrets: Vec<String>,
}

/// A key of a Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretKey {
    /// Name of the Secret.
    pub secret: String,
    /// Key in it.
    pub key: String,
}

/// A data volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Name of the claim.
    pub claim: String,
    /// Its size.
    pub size: Quantity,
    /// Its storage class, if not the cluster's default.
    pub storage_class: Option<String>,
}

/// What carries the events.
#[derive(Debug, Clone, PartialEq)]
pub enum MessagingPlan {
    /// One NATS pod.
    Embedded(EmbeddedMessagingPlan),
    /// A NATS that somebody else runs.
    External(ExternalMessagingPlan),
}

/// One NATS pod.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddedMessagingPlan {
    /// Its data.
    pub volume: Volume,
    /// Most bytes that streams may take of it.
    pub stream_bytes: u64,
    /// Its image.
    pub image: String,
    /// CPU and memory.
    pub resources: Resources,
    /// The generated password.
    pub password: SecretKey,
}

/// A NATS that somebody else runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalMessagingPlan {
    /// Its servers.
    pub servers: NatsServers,
    /// Credentials file.
    pub credentials: Option<SecretKey>,
    /// CA certificates to trust.
    pub ca: Option<SecretKey>,
    /// `host:port` of its monitoring.
    pub monitoring_endpoint: Option<String>,
    /// Account of the streams.
    pub account: String,
}

/// Where NATS servers are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NatsServers {
    /// URLs without credentials.
    Plain(String),
    /// URLs with credentials.
    Secret(SecretKey),
}

/// The mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailPlan {
    /// Host name.
    pub server: String,
    /// Port.
    pub port: i32,
    /// Encryption.
    pub tls: MailTls,
    /// Sender, as it stands in mails.
    pub from: String,
    /// The sender's bare address.
    pub address: String,
    /// User name and password.
    pub credentials: Option<(SecretKey, SecretKey)>,
}

/// Sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthPlan {
    /// Life of an access token.
    pub access_token_life: Duration,
    /// Life of a refresh token.
    pub refresh_token_life: Duration,
    /// Age at which a signing key gets a successor.
    pub rotation: Duration,
    /// A signing key that is older than this gets a successor, whatever its age.
    pub rotate: Option<Timestamp>,
    /// The Secret with the signing keys.
    pub signing_keys: String,
    /// The superuser.
    pub superuser: Superuser,
}

/// Where the superuser comes from: a Secret with `username`, `email` and `password`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Superuser {
    /// One that the operator makes.
    Generated(String),
    /// One that somebody else made.
    Referenced(String),
}

impl Superuser {
    /// Name of the Secret.
    #[must_use]
    pub fn secret(&self) -> &str {
        match self {
            Self::Generated(name) | Self::Referenced(name) => name,
        }
    }
}

/// Something that was asked for and cannot be had in this cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The field that asks for it.
    pub path: String,
    /// Why, and what is done instead.
    pub message: String,
}
