//! One operator and one Catalog, reconciled step by step.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use catalog_operator::{
    crd::Catalog,
    error::Error,
    reconcile::{Context, reconcile},
};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Client;
use serde_json::{Value, json};

use super::{ApiServer, FakeControllers, Namespace, Wire};

/// The name of the Catalog in every namespace of the suite.
pub const NAME: &str = "shop";

/// Reconciles that a change may take, crashes and errors included, before it must have settled.
const ROUNDS: usize = 12;

/// How one reconcile ended.
#[derive(Debug)]
pub enum Ended {
    /// It came to its end.
    Well,
    /// There is no Catalog to reconcile.
    NoCatalog,
    /// With an error; it would be tried again.
    Failed(Error),
    /// In the middle of a call. What it knew is gone.
    Crashed,
}

/// What a condition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Whether it is `True`.
    pub holds: bool,
    /// Its reason.
    pub reason: String,
    /// Its message.
    pub message: String,
}

/// An operator whose reconciles are called by the test, in a namespace of its own.
pub struct Operator {
    namespace: Namespace,
    wire: Wire,
    client: Client,
    controllers: FakeControllers,
    ahead: Arc<AtomicI64>,
    context: Arc<Context>,
}

impl Operator {
    /// In a new namespace of the shared API server.
    pub async fn new(stem: &str) -> Self {
        let server = ApiServer::shared();
        Self::on(server, Namespace::new(server, stem).await).await
    }

    /// In a namespace of that server, with the Secrets that specs of the suite refer to.
    pub async fn on(server: &ApiServer, namespace: Namespace) -> Self {
        let wire = Wire::default();
        let client = server.client_through(&wire).await;
        let ahead = Arc::default();
        let context = context(&client, &ahead);
        let operator = Self { controllers: FakeControllers::new(&namespace), namespace, wire, client, ahead, context };
        // What specs of the suite refer to.
        operator.write_secret("mail", &[("username", "shop"), ("password", "secret")]).await;
        operator.write_secret("registry", &[(".dockerconfigjson", "{}")]).await;
        operator.write_secret("database", &[("uri", "postgres://shop:secret@db.example.com/shop")]).await;
        operator
    }

    /// Where it works.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its calls.
    pub fn wire(&self) -> &Wire {
        &self.wire
    }

    /// What the cluster does, since only the API server runs.
    pub fn controllers(&self) -> &FakeControllers {
        &self.controllers
    }

    /// The time of its clock.
    pub fn now(&self) -> Timestamp {
        clock(&self.ahead)
    }

    /// From now on its clock is ahead by so much more.
    pub fn pass(&self, time: SignedDuration) {
        self.ahead.fetch_add(time.as_secs(), Ordering::Relaxed);
    }

    /// A person applies this spec.
    ///
    /// # Errors
    /// What the API server says against it.
    pub async fn apply(&self, spec: &Value) -> Result<(), kube::Error> {
        self.namespace.apply(&catalog(spec)).await.map(|_| ())
    }

    /// Writes a Secret as a person would.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn write_secret(&self, name: &str, data: &[(&str, &str)]) {
        let data: BTreeMap<_, _> = data.iter().copied().collect();
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data});
        self.namespace.apply(&secret).await.expect("a Secret can be written");
    }

    /// The Catalog as it is.
    pub async fn catalog(&self) -> Option<Catalog> {
        self.namespace.api().get_opt(NAME).await.expect("the Catalog can be read")
    }

    /// One reconcile of the Catalog as it is.
    pub async fn reconcile(&mut self) -> Ended {
        match self.catalog().await {
            Some(catalog) => self.reconcile_as(catalog).await,
            None => Ended::NoCatalog,
        }
    }

    /// One reconcile of the Catalog as the operator's cache may still have it.
    pub async fn reconcile_as(&mut self, catalog: Catalog) -> Ended {
        let ended = tokio::select! {
            result = reconcile(Arc::new(catalog), self.context.clone()) => match result {
                Ok(_) => Ended::Well,
                Err(error) => Ended::Failed(error),
            },
            () = self.wire.crashed() => Ended::Crashed,
        };
        if matches!(ended, Ended::Crashed) {
            // A new process knows nothing.
            self.context = context(&self.client, &self.ahead);
        }
        ended
    }

    /// Reconciles, in a cluster where everything goes well, until there is nothing left to do and the shop is
    /// ready, unless there is none.
    ///
    /// # Panics
    /// If it doesn't come to rest, or is not ready then; says why.
    pub async fn settle(&mut self) {
        self.come_to_rest().await;
        if self.catalog().await.is_none() {
            return;
        }
        let ready = self.condition("Ready").await;
        assert!(ready.holds, "the shop is at rest, but not ready: {}: {}", ready.reason, ready.message);
    }

    /// A condition of the Catalog.
    ///
    /// # Panics
    /// If there is none of that type.
    pub async fn condition(&self, kind: &str) -> Condition {
        let status = self.catalog().await.expect("there is a Catalog").status.unwrap_or_default();
        let found = status.conditions.into_iter().find(|condition| condition.type_ == kind);
        let found = found.unwrap_or_else(|| panic!("there is no condition {kind}"));
        Condition { holds: found.status == "True", reason: found.reason, message: found.message }
    }

    /// Reconciles, in a cluster where everything goes well, until there is nothing left to do.
    ///
    /// # Panics
    /// If it doesn't come to rest; says what was still written.
    pub async fn come_to_rest(&mut self) {
        let mut last = String::new();
        for _ in 0..ROUNDS {
            let before = self.wire.writes().len();
            let ended = self.reconcile().await;
            let writes = self.wire.writes().split_off(before);
            let controllers = self.controllers.everything_goes_well().await;
            if matches!(ended, Ended::Well | Ended::NoCatalog) && writes.is_empty() && controllers == 0 {
                return;
            }
            let writes = writes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            last = format!("{ended:?}; {controllers} statuses were controllers; written: {writes}");
        }
        panic!("not settled after {ROUNDS} reconciles; the last one: {last}");
    }
}

/// The Catalog with this spec.
pub fn catalog(spec: &Value) -> Value {
    json!({"apiVersion": "catalog.rs/v1alpha1", "kind": "Catalog", "metadata": {"name": NAME}, "spec": spec})
}

fn clock(ahead: &AtomicI64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_secs(ahead.load(Ordering::Relaxed))
}

fn context(client: &Client, ahead: &Arc<AtomicI64>) -> Arc<Context> {
    let ahead = ahead.clone();
    Arc::new(Context::new(client.clone()).with_clock(move || clock(&ahead)))
}
