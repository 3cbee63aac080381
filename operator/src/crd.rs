//! The `Catalog` resource, version `v1alpha1`.

mod auth;
mod database;
mod image;
mod mail;
mod messaging;
mod quantity;
mod references;
mod status;
mod workload;

use kube::{CustomResource, CustomResourceExt, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use auth::Auth;
pub use database::{Database, DatabaseKeys, EmbeddedDatabase, ExternalDatabase, SslMode};
pub use image::{Image, PullPolicy};
pub use mail::{Mail, MailCredentials, MailTls};
pub use messaging::{EmbeddedMessaging, ExternalMessaging, Messaging};
pub use quantity::Quantity;
pub use references::{SecretKeyRef, SecretRef};
pub use status::{CatalogStatus, Condition, Replicas};
pub use workload::{Api, ApiAutoscaling, EnvVar, EnvVarSource, Pod, Resources, Worker, WorkerAutoscaling};

/// The API version of the resource.
pub const API_VERSION: &str = "catalog.rs/v1alpha1";

/// What a catalogue shall be.
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
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name":"API","type":"string","jsonPath":".status.replicas.api"}"#,
    printcolumn = r#"{"name":"Version","type":"string","jsonPath":".status.version"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"URL","type":"string","jsonPath":".status.url","priority":1}"#
)]
#[serde(rename_all = "camelCase")]
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
    /// Where the data lives: exactly one of `embedded` and `external`.
    pub database: Database,
    /// What carries the events: exactly one of `embedded` and `external`.
    pub messaging: Messaging,
    /// The server that sends the notifier's mail.
    pub mail: Mail,
    /// The one currency of all prices, ISO 4217. It cannot be changed.
    #[serde(default = "default_currency")]
    #[schemars(regex(pattern = "^[A-Z]{3}$"))]
    #[x_kube(validation = ("self == oldSelf", "the currency is fixed: make another Catalog for another currency"))]
    pub currency: String,
    /// Sign-in.
    #[serde(default)]
    pub auth: Auth,
    /// Leave everything as it is until this is false again.
    #[serde(default)]
    pub paused: bool,
    /// What happens to data volumes and generated Secrets when the Catalog is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// What happens to data when the Catalog is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// Data volumes and generated Secrets stay; a Catalog of the same name takes them over.
    #[default]
    Retain,
    /// Data volumes and generated Secrets are deleted too.
    Delete,
}

fn default_currency() -> String {
    "EUR".into()
}

/// The custom resource definition, as `crds/catalog.yaml` has it.
///
/// # Errors
/// If the schema cannot be written as YAML.
pub fn yaml() -> Result<String, serde_norway::Error> {
    serde_norway::to_string(&Catalog::crd())
}
