//! The `Catalog` resource, version `v1alpha1`: its types, and the rules that the API server enforces.
//!
//! Rules on values that users write are CEL, because their messages can say how to correct a value. The message for a `pattern`
//! only quotes the regular expression.

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
pub use status::{CatalogStatus, Condition, DatabaseStatus, LastApplied, MessagingStatus, Replicas, ScheduledRotations, Time};
pub use workload::{Api, ApiAutoscaling, Worker, WorkerAutoscaling};

/// Maximum length of a Catalog's name. All names that are derived from it are then valid DNS labels.
pub const MAX_NAME: usize = 40;

/// A Catalog from the API server, or the error if it could not be deserialised. Such a Catalog doesn't end the watch of the others.
pub type GuardedCatalog = DeserializeGuard<Catalog>;

/// The desired state of a shop.
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
    doc = "A shop backend: its API, its workers, its database, its messaging and its mail server.",
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status","description":"Whether the shop runs as declared"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason","description":"Reason of the Ready condition"}"#,
    printcolumn = r#"{"name":"Degraded","type":"string","jsonPath":".status.conditions[?(@.type==\"Degraded\")].status","description":"Whether the shop or its spec has a problem"}"#,
    printcolumn = r#"{"name":"API","type":"string","jsonPath":".status.replicas.api","description":"Ready and desired pods of the API"}"#,
    printcolumn = r#"{"name":"Version","type":"string","jsonPath":".status.version","description":"Release that the API runs"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp","description":"Time since it was created"}"#,
    printcolumn = r#"{"name":"Notifier","type":"string","jsonPath":".status.replicas.notifier","priority":1,"description":"Ready and desired pods of the notifier"}"#,
    printcolumn = r#"{"name":"Tracker","type":"string","jsonPath":".status.replicas.tracker","priority":1,"description":"Ready and desired pods of the tracker"}"#,
    printcolumn = r#"{"name":"Fulfiller","type":"string","jsonPath":".status.replicas.fulfiller","priority":1,"description":"Ready and desired pods of the fulfiller"}"#,
    printcolumn = r#"{"name":"URL","type":"string","jsonPath":".status.url","priority":1,"description":"URL of the API in the cluster"}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message","priority":1,"description":"Message of the Ready condition"}"#,
    validation = ("size(self.metadata.name) <= 40", "metadata.name is too long: use at most 40 characters, because names such as <name>-migrate-01234567 are derived from it"),
    validation = ("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')", "metadata.name is also the name of Services: start with a letter and use only lower-case letters, digits and '-'"),
    validation = ("!has(self.status) || !has(self.status.lastApplied) || self.spec.currency == oldSelf.spec.currency", "spec.currency cannot be changed after the shop was applied, because prices are stored in this currency: create another Catalog for another currency")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("has(self.database)", "spec.database is required: set database: {embedded: {}} for development, or database: {external: {secretRef: {name: ...}}}"),
    validation = ("has(self.messaging)", "spec.messaging is required: set messaging: {embedded: {}}, or messaging: {external: {url: ...}}"),
    validation = ("has(self.mail)", "spec.mail is required: name the SMTP server and the sender, such as mail: {server: smtp.example.com, from: shop@example.com}"),
    validation = ("!has(self.messaging) || !has(self.messaging.external) || has(self.messaging.external.monitoringEndpoint) || (!has(self.notifier.autoscaling) && !has(self.tracker.autoscaling) && !has(self.fulfiller.autoscaling))", "autoscaling of notifier, tracker and fulfiller reads the lag from NATS: set messaging.external.monitoringEndpoint, or set replicas instead of autoscaling")
)]
pub struct CatalogSpec {
    /// The image of all roles.
    #[serde(default)]
    pub image: Image,
    /// The public API.
    #[serde(default)]
    pub api: Api,
    /// The worker that turns events into mail.
    #[serde(default)]
    pub notifier: Worker,
    /// The worker that counts views.
    #[serde(default)]
    pub tracker: Worker,
    /// The worker that confirms and fulfils orders.
    #[serde(default)]
    pub fulfiller: Worker,
    /// The PostgreSQL database: exactly one of `embedded` and `external`.
    #[serde(default)]
    #[schemars(transform = definition::without_default)]
    pub database: Database,
    /// The NATS servers: exactly one of `embedded` and `external`.
    #[serde(default)]
    #[schemars(transform = definition::without_default)]
    pub messaging: Messaging,
    /// The SMTP server that the notifier sends mail through.
    #[serde(default)]
    #[schemars(transform = definition::without_default)]
    pub mail: Mail,
    /// The currency of all prices, an ISO 4217 code such as EUR. It cannot be changed after the shop was applied.
    #[serde(default = "default_currency")]
    #[schemars(length(max = 3))]
    #[x_kube(
        validation = ("self.matches('^[A-Z]{3}$')", "use an ISO 4217 code such as EUR, USD or JPY")
    )]
    pub currency: String,
    /// Lifetimes of tokens, rotation of signing keys, and the superuser.
    #[serde(default)]
    pub auth: Auth,
    /// While true, the operator does not create, change or delete objects of this Catalog.
    #[serde(default)]
    pub paused: bool,
    /// What happens to data volumes and generated Secrets when the Catalog is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// What happens to data volumes and generated Secrets when the Catalog is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// They are kept. A new Catalog of the same name uses them again.
    #[default]
    Retain,
    /// They are deleted too.
    Delete,
}

fn default_currency() -> String {
    "EUR".into()
}
