//! The shop of the sample Catalog, as people outside reach it.

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

/// Where and what the sample is.
pub const NAMESPACE: &str = "shop";
pub const NAME: &str = "shop";
/// A pod may have to be pulled up, migrate and warm up on a machine with other work to do.
pub const PATIENCE: Duration = Duration::from_mins(4);

/// The second admin, who gets mail about what the first one does.
pub const EDITOR: (&str, &str) = ("editor", "editor@example.com");

pub struct Shop {
    pub client: Client,
    pub anyone: Api,
    pub admin: Api,
    pub inbox: Inbox,
}

/// The state of the local cluster, as `tests/cluster/local/settings` has it.
pub fn cluster_state() -> PathBuf {
    env::var_os("CATALOG_CLUSTER_STATE").map_or_else(|| "/var/lib/catalog/cluster".into(), PathBuf::from)
}

impl Shop {
    /// Finds it, signs the superuser in, and sees to it that there is another admin.
    pub async fn find() -> Self {
        let kubeconfig = Kubeconfig::read_from(cluster_state().join("kubeconfig")).expect("`make e2e` brings the cluster up first");
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        let client = Client::try_from(config).unwrap();
        let anyone = Api::anonymous(&address(&client, "shop-api").await, None);
        let inbox = Inbox::new(address(&client, "inbox").await);
        let mut shop = Self { admin: anyone.clone(), client, anyone, inbox };
        shop.is_ready().await;
        shop.admin = shop.signed_in().await;
        let editor = json!({"username": EDITOR.0, "email": EDITOR.1, "password": "a passphrase of the editor"});
        let added = shop.admin.post("/v1/admins", &editor).await;
        assert!(matches!(added.status, 201 | 409), "{}", added.text());
        shop
    }

    /// The superuser, with the password of the generated Secret.
    pub async fn signed_in(&self) -> Api {
        wait::within(PATIENCE, "the superuser signs in", async || self.sign_in().await).await
    }

    /// The same, or why not: so may be too many tries, or a database that is being replaced.
    pub async fn sign_in(&self) -> Result<Api, String> {
        let secret: Secret = self.kube().get("shop-superuser").await.unwrap();
        let value = |key: &str| String::from_utf8(secret.data.as_ref().unwrap()[key].0.clone()).unwrap();
        let credentials = json!({"username": value("username"), "password": value("password")});
        let reply = self.anyone.post("/v1/auth/login", &credentials).attempt().await.map_err(|error| error.to_string())?;
        wait::holds(reply.status == 200, || reply.text())?;
        Ok(self.anyone.with_token(reply.json()["access_token"].as_str().unwrap()))
    }

    /// A connection to its database, by the active login role.
    pub async fn database(&self) -> PgConnection {
        let secret: Secret = self.kube().get("shop-postgres").await.unwrap();
        let value = |key: &str| String::from_utf8(secret.data.as_ref().unwrap()[key].0.clone()).unwrap();
        let username = value("username");
        let service: Service = self.kube().get("shop-postgres").await.unwrap();
        let options = PgConnectOptions::new().host(&service.spec.unwrap().cluster_ip.unwrap()).username(&username).database("catalog");
        options.password(&value(&username)).ssl_mode(PgSslMode::Disable).connect().await.unwrap()
    }

    /// Objects of a kind in the shop's namespace.
    pub fn kube<K>(&self) -> kube::Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        kube::Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// Objects of a kind that has no type here.
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

    /// A condition of the Catalog, of its present generation.
    pub async fn condition(&self, kind: &str) -> Option<Value> {
        let catalog = self.catalogs().get(NAME).await.unwrap();
        let conditions = catalog.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let generation = catalog.metadata.generation;
        conditions.into_iter().find(|condition| condition["type"] == kind && condition["observedGeneration"].as_i64() == generation)
    }

    /// Waits until a condition has this status.
    pub async fn comes_to(&self, kind: &str, status: &str) -> Value {
        wait::within(PATIENCE, &format!("{kind} becomes {status}"), async || {
            self.condition(kind)
                .await
                .filter(|condition| condition["status"] == status)
                .ok_or(self.catalogs().get(NAME).await.unwrap().data)
        })
        .await
    }

    /// Waits until the Catalog is ready and nothing is on its way any more.
    pub async fn is_ready(&self) {
        self.comes_to("Ready", "True").await;
        self.comes_to("Progressing", "False").await;
    }

    /// Pods of a part that aren't on their way out.
    pub async fn pods(&self, component: &str) -> Vec<Pod> {
        let selector = format!("app.kubernetes.io/instance={NAME},app.kubernetes.io/component={component}");
        let pods = self.kube::<Pod>().list(&ListParams::default().labels(&selector)).await.unwrap();
        pods.items.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect()
    }

    /// How many pods a Deployment is to have, and has ready.
    pub async fn replicas(&self, deployment: &str) -> (i32, i32) {
        let deployment: Deployment = self.kube().get(deployment).await.unwrap();
        let wanted = deployment.spec.replicas.unwrap_or(1);
        (wanted, deployment.status.and_then(|status| status.ready_replicas).unwrap_or(0))
    }

    /// Names of all objects of a kind with the labels of the shop.
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

/// Addresses of Services answer on the node, and this machine is the node.
async fn address(client: &Client, service: &str) -> String {
    let services: kube::Api<Service> = kube::Api::namespaced(client.clone(), NAMESPACE);
    // A Catalog that was applied a moment ago has none yet.
    let spec = wait::within(PATIENCE, &format!("there is a Service {service}"), async || services.get(service).await).await.spec.unwrap();
    let port = spec.ports.iter().flatten().find(|port| port.name.as_deref() == Some("http")).expect("a port named http").port;
    format!("http://{}:{port}", spec.cluster_ip.unwrap())
}
