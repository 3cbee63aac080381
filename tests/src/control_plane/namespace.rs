//! Namespaces of tests.

use std::{
    fmt::Debug,
    sync::atomic::{AtomicU32, Ordering},
};

use k8s_openapi::{NamespaceResourceScope, api::core::v1::Namespace as Object};
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::ApiServer;

/// The field manager of users who write Catalogs.
pub const USER: &str = "user";

/// The namespace of one test, with the client of the administrator.
#[derive(Clone)]
pub struct Namespace {
    client: Client,
    name: String,
}

impl Namespace {
    /// Creates a namespace whose name starts with `stem`.
    ///
    /// # Panics
    /// If it cannot be created.
    pub async fn new(server: &ApiServer, stem: &str) -> Self {
        Self::with_client(server.client().await, stem).await
    }

    /// Creates a namespace with an existing client.
    ///
    /// # Panics
    /// If it cannot be created.
    pub async fn with_client(client: Client, stem: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("{stem}-{:05}", NEXT.fetch_add(1, Ordering::Relaxed));
        let object: Object = serde_json::from_value(json!({"metadata": {"name": name}})).expect("a namespace");
        Api::all(client.clone()).create(&PostParams::default(), &object).await.expect("a namespace can be created");
        Self { client, name }
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the administrator's client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Returns the API of a kind in this namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Returns the API of a kind that has no Rust type.
    pub fn dynamic(&self, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.name, resource)
    }

    /// Lists the objects of a kind.
    ///
    /// # Panics
    /// If they cannot be listed.
    pub async fn all<K>(&self) -> Vec<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        self.api::<K>().list(&ListParams::default()).await.expect("objects can be listed").items
    }

    /// Applies an object as a user does with `kubectl apply --server-side --force-conflicts`.
    ///
    /// # Errors
    /// If the API server rejects it.
    pub async fn apply(&self, object: &Value) -> Result<DynamicObject, kube::Error> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
        let (group, version) = version.rsplit_once('/').unwrap_or(("", &version));
        let resource = super::definitions::resource(group, version, &kind);
        let name = text(&object["metadata"]["name"]);
        self.dynamic(&resource).patch(&name, &PatchParams::apply(USER).force(), &Patch::Apply(object)).await
    }
}
