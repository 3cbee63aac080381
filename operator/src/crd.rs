//! The `Catalog` resource, version `v1alpha1`.

use kube::{CustomResource, CustomResourceExt, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    doc = "A shop backend: its API, its workers, and where their data lives.",
    printcolumn = r#"{"name":"Currency","type":"string","jsonPath":".spec.currency"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct CatalogSpec {
    /// The image of every role.
    #[serde(default)]
    pub image: Image,
    /// The one currency of all prices, ISO 4217.
    #[serde(default = "default_currency")]
    #[schemars(regex(pattern = "^[A-Z]{3}$"))]
    #[x_kube(validation = ("self == oldSelf", "the currency is fixed: make another Catalog for another currency"))]
    pub currency: String,
    /// Where the data lives.
    pub database: Database,
}

/// A container image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Image {
    /// Repository, without a tag.
    #[schemars(length(min = 1, max = 255))]
    pub repository: String,
    /// Tag. Absent: the operator's own release.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub tag: Option<String>,
    /// When nodes fetch it.
    pub pull_policy: PullPolicy,
}

impl Default for Image {
    fn default() -> Self {
        Self { repository: "catalog".into(), tag: None, pull_policy: PullPolicy::default() }
    }
}

/// When nodes fetch an image, as in Kubernetes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PullPolicy {
    /// Before every start.
    Always,
    /// If it isn't there.
    #[default]
    IfNotPresent,
    /// Never: it has to be there.
    Never,
}

/// Where the data lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Database {
    /// A PostgreSQL that somebody else runs.
    pub external: ExternalDatabase,
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
}

/// A Secret in the namespace of the Catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Keys of the database's Secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_definition_is_what_the_code_says() {
        let committed = include_str!("../../crds/catalog.yaml");
        assert!(committed == yaml().unwrap(), "crds/catalog.yaml is stale: run `make generate` and read the difference");
    }

    #[test]
    fn a_minimal_catalog_gets_the_defaults() {
        let catalog: Catalog = serde_norway::from_str(
            "apiVersion: catalog.rs/v1alpha1
kind: Catalog
metadata: {name: shop}
spec:
  database: {external: {secretRef: {name: shop-db}}}",
        )
        .unwrap();
        assert_eq!(catalog.spec.currency, "EUR");
        assert_eq!(catalog.spec.image, Image::default());
        assert_eq!(catalog.spec.database.external.keys.uri, "uri");
    }
}
