//! An operator that runs its controller and reconciles on watch events.

use std::{sync::OnceLock, thread};

use catalog_operator::{connection::with_timeouts, controller, metrics::Metrics};

use super::{ApiServer, CallRecorder, Namespace};

/// Catalogs that are reconciled at the same time.
const CONCURRENCY: u16 = 4;

/// A running operator with its own API server. On the shared one it would reconcile the Catalogs of all tests.
pub struct RunningOperator {
    server: ApiServer,
    recorder: CallRecorder,
    metrics: Metrics,
}

impl RunningOperator {
    /// Returns the operator that tests of watches share.
    ///
    /// # Panics
    /// If it could not be started.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Option<RunningOperator>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| {
            let starting = thread::Builder::new().name("shared operator".into()).spawn(|| runtime().block_on(Self::start()));
            starting.expect("a thread can be started").join().ok()
        });
        shared.as_ref().expect("the shared operator could not be started; see the first panic of this run")
    }

    /// Starts an operator for a test that changes cluster-scoped objects or disturbs watches.
    ///
    /// # Panics
    /// If it doesn't start.
    pub async fn start() -> Self {
        Self::on(ApiServer::start().await).await
    }

    /// Starts an operator on this server.
    ///
    /// # Panics
    /// If it doesn't start.
    pub async fn on(server: ApiServer) -> Self {
        let recorder = CallRecorder::default();
        let config = server.operator_config().await;
        let metrics = Metrics::new().expect("metrics");
        let (its_recorder, its_metrics) = (recorder.clone(), metrics.clone());
        // In a separate runtime, because the runtime of a test ends with the test.
        let running = thread::Builder::new().name("operator".into()).spawn(move || {
            runtime().block_on(async {
                let client = its_recorder.client(with_timeouts(config));
                controller::run(client, its_metrics, CONCURRENCY).await;
            });
        });
        drop(running.expect("a thread can be started"));
        Self { server, recorder, metrics }
    }

    /// Returns the API server.
    pub fn server(&self) -> &ApiServer {
        &self.server
    }

    /// Returns the layer that records its API calls and disturbs its watches.
    pub fn recorder(&self) -> &CallRecorder {
        &self.recorder
    }

    /// Returns its metrics in the text format of Prometheus.
    ///
    /// # Panics
    /// If they are not UTF-8.
    pub fn metrics(&self) -> String {
        String::from_utf8(self.metrics.text().expect("metrics can be written")).expect("metrics are text")
    }

    /// Creates a namespace whose name starts with `stem`.
    pub async fn namespace(&self, stem: &str) -> Namespace {
        Namespace::new(&self.server, stem).await
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}
