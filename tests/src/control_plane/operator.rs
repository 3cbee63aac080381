//! An operator whose reconciles the test calls one by one, for one Catalog.

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

use super::{ApiServer, CallRecorder, FakeControllers, Namespace};

/// The name of the Catalog in every namespace of the suite.
pub const NAME: &str = "shop";

/// The number of reconciles, with those that crash or fail, after which the operator must be idle.
const MAX_RECONCILES: usize = 12;

/// How one reconcile ended.
#[derive(Debug)]
pub enum ReconcileOutcome {
    /// It succeeded.
    Succeeded,
    /// The Catalog does not exist.
    NoCatalog,
    /// It returned an error; the controller would requeue it.
    Failed(Error),
    /// The operator crashed in a call and lost its state in memory.
    Crashed,
}

/// A condition of the Catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Whether its status is `True`.
    pub is_true: bool,
    /// The reason.
    pub reason: String,
    /// The message.
    pub message: String,
}

/// An operator in its own namespace that reconciles when the test calls it.
pub struct Operator {
    namespace: Namespace,
    recorder: CallRecorder,
    client: Client,
    controllers: FakeControllers,
    clock_offset: Arc<AtomicI64>,
    context: Arc<Context>,
}

impl Operator {
    /// Creates an operator in a new namespace of the shared API server.
    pub async fn new(stem: &str) -> Self {
        let server = ApiServer::shared();
        Self::on(server, Namespace::new(server, stem).await).await
    }

    /// Creates an operator in a namespace of `server`, with the Secrets to which the specs of the suite refer.
    pub async fn on(server: &ApiServer, namespace: Namespace) -> Self {
        let recorder = CallRecorder::default();
        let client = server.client_through(&recorder).await;
        let clock_offset = Arc::default();
        let context = context(&client, &clock_offset);
        let operator = Self { controllers: FakeControllers::new(&namespace), namespace, recorder, client, clock_offset, context };
        operator.write_secret("mail", &[("username", "shop"), ("password", "secret")]).await;
        operator.write_secret("registry", &[(".dockerconfigjson", "{}")]).await;
        operator.write_secret("database", &[("uri", "postgres://shop:secret@db.example.com/shop")]).await;
        operator
    }

    /// Returns its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Returns the layer that records its API calls and injects faults.
    pub fn recorder(&self) -> &CallRecorder {
        &self.recorder
    }

    /// Returns the fake controllers of its namespace.
    pub fn controllers(&self) -> &FakeControllers {
        &self.controllers
    }

    /// Returns the time of its clock.
    pub fn now(&self) -> Timestamp {
        clock(&self.clock_offset)
    }

    /// Advances its clock.
    pub fn advance_clock(&self, time: SignedDuration) {
        self.clock_offset.fetch_add(time.as_secs(), Ordering::Relaxed);
    }

    /// Applies a Catalog with this spec as a user does.
    ///
    /// # Errors
    /// If the API server rejects it.
    pub async fn apply(&self, spec: &Value) -> Result<(), kube::Error> {
        self.namespace.apply(&catalog(spec)).await.map(|_| ())
    }

    /// Writes a Secret as a user does.
    ///
    /// # Panics
    /// If the API server rejects it.
    pub async fn write_secret(&self, name: &str, data: &[(&str, &str)]) {
        let data: BTreeMap<_, _> = data.iter().copied().collect();
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data});
        self.namespace.apply(&secret).await.expect("a Secret can be written");
    }

    /// Reads the Catalog from the API server.
    pub async fn catalog(&self) -> Option<Catalog> {
        self.namespace.api().get_opt(NAME).await.expect("the Catalog can be read")
    }

    /// Reconciles the current Catalog once.
    pub async fn reconcile(&mut self) -> ReconcileOutcome {
        match self.catalog().await {
            Some(catalog) => self.reconcile_as(catalog).await,
            None => ReconcileOutcome::NoCatalog,
        }
    }

    /// Reconciles this version of the Catalog once, such as an outdated one in the operator's cache.
    pub async fn reconcile_as(&mut self, catalog: Catalog) -> ReconcileOutcome {
        let ended = tokio::select! {
            result = reconcile(Arc::new(catalog), self.context.clone()) => match result {
                Ok(_) => ReconcileOutcome::Succeeded,
                Err(error) => ReconcileOutcome::Failed(error),
            },
            () = self.recorder.crashed() => ReconcileOutcome::Crashed,
        };
        if matches!(ended, ReconcileOutcome::Crashed) {
            // A new process starts without state.
            self.context = context(&self.client, &self.clock_offset);
        }
        ended
    }

    /// Reconciles, with controllers that succeed, until the operator is idle. Then a Catalog that exists must be ready.
    ///
    /// # Panics
    /// If the operator does not become idle, or the Catalog is not ready.
    pub async fn reconcile_until_ready(&mut self) {
        self.reconcile_until_idle().await;
        if self.catalog().await.is_none() {
            return;
        }
        let ready = self.condition("Ready").await;
        assert!(ready.is_true, "the operator is idle, but the Catalog is not ready: {}: {}", ready.reason, ready.message);
    }

    /// Returns the condition of type `kind`.
    ///
    /// # Panics
    /// If the Catalog has none.
    pub async fn condition(&self, kind: &str) -> Condition {
        let status = self.catalog().await.expect("the Catalog exists").status.unwrap_or_default();
        let found = status.conditions.into_iter().find(|condition| condition.type_ == kind);
        let found = found.unwrap_or_else(|| panic!("the Catalog has no condition {kind}"));
        Condition { is_true: found.status == "True", reason: found.reason, message: found.message }
    }

    /// Reconciles, with controllers that succeed, until neither the operator nor they write anything.
    ///
    /// # Panics
    /// If that does not happen within `MAX_RECONCILES` reconciles; names the last writes.
    pub async fn reconcile_until_idle(&mut self) {
        let mut last = String::new();
        for _ in 0..MAX_RECONCILES {
            let before = self.recorder.writes().len();
            let ended = self.reconcile().await;
            let writes = self.recorder.writes().split_off(before);
            let changed = self.controllers.complete_all().await;
            if matches!(ended, ReconcileOutcome::Succeeded | ReconcileOutcome::NoCatalog) && writes.is_empty() && changed == 0 {
                return;
            }
            let writes = writes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            last = format!("{ended:?}; the controllers changed {changed} statuses; the operator wrote: {writes}");
        }
        panic!("the operator is not idle after {MAX_RECONCILES} reconciles; the last one: {last}");
    }
}

/// Returns a Catalog with this spec.
pub fn catalog(spec: &Value) -> Value {
    json!({"apiVersion": "catalog.rs/v1alpha1", "kind": "Catalog", "metadata": {"name": NAME}, "spec": spec})
}

fn clock(clock_offset: &AtomicI64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_secs(clock_offset.load(Ordering::Relaxed))
}

fn context(client: &Client, clock_offset: &Arc<AtomicI64>) -> Arc<Context> {
    let clock_offset = clock_offset.clone();
    Arc::new(Context::new(client.clone()).with_clock(move || clock(&clock_offset)))
}
