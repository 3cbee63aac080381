//! The shop of the sample Catalog, and clients of it.

use std::{env, path::PathBuf, time::Duration};

use catalog_tests::{Api, Inbox, wait};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, Secret, Service},
};
use kube::{
    Client, Config, ResourceExt,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use sqlx::{
    ConnectOptions, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};

/// Namespace of the sample Catalog.
pub const NAMESPACE: &str = "shop";
/// Name of the sample Catalog.
pub const NAME: &str = "shop";
/// Timeout of all steps that start pods: a migration and several starts, on a busy machine.
pub const TIMEOUT: Duration = Duration::from_mins(4);

/// The second admin, who gets mail about changes by the first one.
pub const EDITOR: (&str, &str) = ("editor", "editor@example.com");

pub struct Shop {
    pub client: Client,
    pub anyone: Api,
    pub admin: Api,
    pub inbox: Inbox,
}

/// The state directory of the local cluster, by the same setting as in `deploy/cluster/local/settings`.
pub fn cluster_state() -> PathBuf {
    env::var_os("CATALOG_CLUSTER_STATE").map_or_else(|| "/var/lib/catalog/cluster".into(), PathBuf::from)
}

impl Shop {
    /// Waits until the shop is ready, signs the superuser in, and creates the second admin.
    pub async fn connect() -> Self {
        let kubeconfig = Kubeconfig::read_from(cluster_state().join("kubeconfig")).expect("`make e2e` starts the cluster first");
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        let client = Client::try_from(config).unwrap();
        let anyone = Api::anonymous(&address(&client, "shop-api").await, None);
        let inbox = Inbox::new(address(&client, "inbox").await);
        let mut shop = Self { admin: anyone.clone(), client, anyone, inbox };
        shop.becomes_ready().await;
        shop.admin = shop.signed_in().await;
        let editor = json!({"username": EDITOR.0, "email": EDITOR.1, "password": "a passphrase of the editor"});
        let added = shop.admin.post("/v1/admins", &editor).await;
        assert!(matches!(added.status, 201 | 409), "{}", added.text());
        shop
    }

    /// Signs the superuser in with the password of the generated Secret. Retries until it succeeds.
    pub async fn signed_in(&self) -> Api {
        wait::within(TIMEOUT, "the superuser signs in", async || self.sign_in().await).await
    }

    /// Tries once to sign the superuser in.
    ///
    /// # Errors
    /// The response, for example while sign-ins are rate limited or the database is replaced.
    pub async fn sign_in(&self) -> Result<Api, String> {
        let secret: Secret = self.kube().get("shop-superuser").await.unwrap();
        let value = |key: &str| String::from_utf8(secret.data.as_ref().unwrap()[key].0.clone()).unwrap();
        let credentials = json!({"username": value("username"), "password": value("password")});
        let reply = self.anyone.post("/v1/auth/login", &credentials).attempt().await.map_err(|error| error.to_string())?;
        wait::check(reply.status == 200, || reply.text())?;
        Ok(self.anyone.with_token(reply.json()["access_token"].as_str().unwrap()))
    }

    /// Connects to the database with the active login role.
    pub async fn database(&self) -> PgConnection {
        let secret: Secret = self.kube().get("shop-postgres").await.unwrap();
        let value = |key: &str| String::from_utf8(secret.data.as_ref().unwrap()[key].0.clone()).unwrap();
        let username = value("username");
        let service: Service = self.kube().get("shop-postgres").await.unwrap();
        let options = PgConnectOptions::new().host(&service.spec.unwrap().cluster_ip.unwrap()).username(&username).database("catalog");
        options.password(&value(&username)).ssl_mode(PgSslMode::Disable).connect().await.unwrap()
    }

    /// The client of a kind in the shop's namespace.
    pub fn kube<K>(&self) -> kube::Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        kube::Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// The client of a kind without a Rust type.
    pub fn dynamic(&self, group: &str, version: &str, kind: &str) -> kube::Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        kube::Api::namespaced_with(self.client.clone(), NAMESPACE, &resource)
    }

    pub fn catalogs(&self) -> kube::Api<DynamicObject> {
        self.dynamic("catalog.rs", "v1alpha1", "Catalog")
    }

    /// Changes the Catalog as `kubectl patch --type merge` does.
    pub async fn patch(&self, change: Value) {
        self.catalogs().patch(NAME, &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
    }

    /// A condition of the Catalog, if it is of the current generation.
    pub async fn condition(&self, kind: &str) -> Option<Value> {
        let catalog = self.catalogs().get(NAME).await.unwrap();
        let conditions = catalog.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let generation = catalog.metadata.generation;
        conditions.into_iter().find(|condition| condition["type"] == kind && condition["observedGeneration"].as_i64() == generation)
    }

    /// Waits until a condition has this status.
    pub async fn condition_becomes(&self, kind: &str, status: &str) -> Value {
        wait::within(TIMEOUT, &format!("{kind} becomes {status}"), async || {
            self.condition(kind)
                .await
                .filter(|condition| condition["status"] == status)
                .ok_or(self.catalogs().get(NAME).await.unwrap().data)
        })
        .await
    }

    /// Waits until the Catalog is ready and its rollout is complete.
    pub async fn becomes_ready(&self) {
        self.condition_becomes("Ready", "True").await;
        self.condition_becomes("Progressing", "False").await;
    }

    /// Pods of a part that are not terminating.
    pub async fn pods(&self, component: &str) -> Vec<Pod> {
        let selector = format!("app.kubernetes.io/instance={NAME},app.kubernetes.io/component={component}");
        let pods = self.kube::<Pod>().list(&ListParams::default().labels(&selector)).await.unwrap();
        pods.items.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect()
    }

    /// Desired and ready replicas of a Deployment.
    pub async fn replicas(&self, deployment: &str) -> (i32, i32) {
        let deployment: Deployment = self.kube().get(deployment).await.unwrap();
        let wanted = deployment.spec.replicas.unwrap_or(1);
        (wanted, deployment.status.and_then(|status| status.ready_replicas).unwrap_or(0))
    }

    /// Names of all objects of a kind with the instance label of the shop.
    pub async fn names<K>(&self) -> Vec<String>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let selector = format!("app.kubernetes.io/instance={NAME}");
        let list = self.kube::<K>().list(&ListParams::default().labels(&selector)).await.unwrap();
        list.items.iter().map(ResourceExt::name_any).collect()
    }
}

/// The URL of a Service. This machine is the node, so it reaches cluster IPs.
async fn address(client: &Client, service: &str) -> String {
    let services: kube::Api<Service> = kube::Api::namespaced(client.clone(), NAMESPACE);
    // The operator creates the Service after the Catalog was applied.
    let spec = wait::within(TIMEOUT, &format!("the Service {service} exists"), async || services.get(service).await).await.spec.unwrap();
    let port = spec.ports.iter().flatten().find(|port| port.name.as_deref() == Some("http")).expect("a port named http").port;
    format!("http://{}:{port}", spec.cluster_ip.unwrap())
}
