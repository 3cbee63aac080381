//! A namespace of one run.

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

/// The field manager of the people who write Catalogs.
pub const PERSON: &str = "person";

/// A namespace that nobody else uses, and the administrator's view of it.
#[derive(Clone)]
pub struct Namespace {
    client: Client,
    name: String,
}

impl Namespace {
    /// A new one on a server; `stem` says in its name what it is for.
    ///
    /// # Panics
    /// If it cannot be made.
    pub async fn new(server: &ApiServer, stem: &str) -> Self {
        Self::with(server.client().await, stem).await
    }

    /// The same with a client that is there already.
    ///
    /// # Panics
    /// If it cannot be made.
    pub async fn with(client: Client, stem: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("{stem}-{:05}", NEXT.fetch_add(1, Ordering::Relaxed));
        let object: Object = serde_json::from_value(json!({"metadata": {"name": name}})).expect("a namespace");
        Api::all(client.clone()).create(&PostParams::default(), &object).await.expect("a namespace can be made");
        Self { client, name }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The administrator's client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The objects of a kind in it.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// The objects of a kind without a type.
    pub fn dynamic(&self, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.name, resource)
    }

    /// All objects of a kind.
    ///
    /// # Panics
    /// If they cannot be listed.
    pub async fn all<K>(&self) -> Vec<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        self.api::<K>().list(&ListParams::default()).await.expect("objects can be listed").items
    }

    /// Applies an object as a person would with `kubectl apply --server-side`.
    ///
    /// # Errors
    /// What the API server says against it.
    pub async fn apply(&self, object: &Value) -> Result<DynamicObject, kube::Error> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
        let (group, version) = version.rsplit_once('/').unwrap_or(("", &version));
        let resource = super::definitions::resource(group, version, &kind);
        let name = text(&object["metadata"]["name"]);
        self.dynamic(&resource).patch(&name, &PatchParams::apply(PERSON).force(), &Patch::Apply(object)).await
    }
}
