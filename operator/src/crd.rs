//! The `Catalog` resource, version `v1alpha1`: its types, and the rules that the API server enforces.
//!
//! Rules are CEL, not patterns, wherever a person may meet them: a pattern says what it didn't match,
//! a rule says what to do.

mod auth;
mod database;
mod definition;
mod image;
mod mail;
mod messaging;
mod pod;
mod quantity;
mod references;
mod status;
mod workload;

use kube::{CustomResource, KubeSchema, core::DeserializeGuard};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use auth::Auth;
pub use database::{Database, DatabaseKeys, EmbeddedDatabase, ExternalDatabase, SslMode};
pub use definition::{definition, yaml};
pub use image::{Image, PullPolicy};
pub use mail::{Mail, MailCredentials, MailTls};
pub use messaging::{EmbeddedMessaging, ExternalMessaging, Messaging};
pub use pod::{EnvVar, EnvVarSource, Pod, Resources};
pub use quantity::Quantity;
pub use references::{SecretKeyRef, SecretRef};
pub use status::{CatalogStatus, Condition, DatabaseStatus, LastApplied, MessagingStatus, Replicas, Time};
pub use workload::{Api, ApiAutoscaling, Worker, WorkerAutoscaling};

/// The longest name of a Catalog: with it, every derived name is a valid one.
pub const MAX_NAME: usize = 40;

/// A Catalog as the API server returned it: one that cannot be deserialised doesn't stop the watch of the others.
pub type GuardedCatalog = DeserializeGuard<Catalog>;

/// What the shop shall be.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "catalog.rs",
    version = "v1alpha1",
    kind = "Catalog",
    plural = "catalogs",
    shortname = "cat",
    category = "all",
    namespaced,
    status = "CatalogStatus",
    derive = "PartialEq",
    doc = "A shop backend: its API, its workers, and where their data lives.",
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status","description":"Whether the shop is as declared"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason","description":"Why, or why not"}"#,
    printcolumn = r#"{"name":"Degraded","type":"string","jsonPath":".status.conditions[?(@.type==\"Degraded\")].status","description":"Whether something is wrong"}"#,
    printcolumn = r#"{"name":"API","type":"string","jsonPath":".status.replicas.api","description":"Ready and desired pods of the API"}"#,
    printcolumn = r#"{"name":"Version","type":"string","jsonPath":".status.version","description":"Release that serves"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp","description":"Time since it was created"}"#,
    printcolumn = r#"{"name":"Notifier","type":"string","jsonPath":".status.replicas.notifier","priority":1,"description":"Ready and desired pods of the notifier"}"#,
    printcolumn = r#"{"name":"Tracker","type":"string","jsonPath":".status.replicas.tracker","priority":1,"description":"Ready and desired pods of the tracker"}"#,
    printcolumn = r#"{"name":"Fulfiller","type":"string","jsonPath":".status.replicas.fulfiller","priority":1,"description":"Ready and desired pods of the fulfiller"}"#,
    printcolumn = r#"{"name":"URL","type":"string","jsonPath":".status.url","priority":1,"description":"How the API is reached"}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message","priority":1,"description":"What is not ready"}"#,
    validation = ("size(self.metadata.name) <= 40", "metadata.name is too long: take at most 40 characters, because names such as <name>-migrate-01234567 are made from it"),
    validation = ("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')", "metadata.name is also the name of Services: start with a letter and use only lower-case letters, digits and '-'"),
    validation = ("!has(self.status) || !has(self.status.lastApplied) || self.spec.currency == oldSelf.spec.currency", "spec.currency is fixed once the shop was applied, because prices are stored in it: make another Catalog for another currency")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("has(self.database)", "say where the data lives: database: {embedded: {}} for development, or database: {external: {secretRef: {name: ...}}}"),
    validation = ("has(self.messaging)", "say what carries the events: messaging: {embedded: {}}, or messaging: {external: {url: ...}}"),
    validation = ("has(self.mail)", "name the SMTP server that sends the notifier's mail: mail: {server: smtp.example.com, from: shop@example.com}"),
    validation = ("!has(self.messaging) || !has(self.messaging.external) || has(self.messaging.external.monitoringEndpoint) || (!has(self.notifier.autoscaling) && !has(self.tracker.autoscaling) && !has(self.fulfiller.autoscaling))", "autoscaling of notifier, tracker and fulfiller reads the lag from NATS: give messaging.external.monitoringEndpoint, or replicas instead of autoscaling")
)]
pub struct CatalogSpec {
    /// The image of every role.
    #[serde(default)]
    pub image: Image,
    /// The public API.
    #[serde(default)]
    pub api: Api,
    /// The worker that turns changes into mail.
    #[serde(default)]
    pub notifier: Worker,
    /// The worker that counts views.
    #[serde(default)]
    pub tracker: Worker,
    /// The worker that takes orders to their end.
    #[serde(default)]
    pub fulfiller: Worker,
    /// Where the data lives: exactly one of `embedded` and `external`.
    #[serde(default)]
    #[schemars(transform = definition::without_default)]
    pub database: Database,
    /// What carries the events: exactly one of `embedded` and `external`.
    #[serde(default)]
    #[schemars(transform = definition::without_default)]
    pub messaging: Messaging,
    /// The server that sends the notifier's mail.
    #[serde(default)]
    #[schemars(transform = definition::without_default)]
    pub mail: Mail,
    /// The one currency of all prices, an ISO 4217 code such as EUR. It cannot be changed once the shop was applied.
    #[serde(default = "default_currency")]
    #[schemars(length(max = 3))]
    #[x_kube(
        validation = ("self.matches('^[A-Z]{3}$')", "give an ISO 4217 code such as EUR, USD or JPY")
    )]
    pub currency: String,
    /// Sign-in.
    #[serde(default)]
    pub auth: Auth,
    /// While true, the operator changes nothing.
    #[serde(default)]
    pub paused: bool,
    /// What happens to data volumes and generated Secrets when the Catalog is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// What happens to data volumes and generated Secrets when the Catalog is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// They stay; a Catalog of the same name takes them over.
    #[default]
    Retain,
    /// They are deleted too.
    Delete,
}

fn default_currency() -> String {
    "EUR".into()
}
