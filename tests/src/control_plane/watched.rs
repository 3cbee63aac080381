//! An operator that is not called, but sees for itself.

use std::{sync::OnceLock, thread};

use catalog_operator::{connection::with_timeouts, controller, metrics::Metrics};

use super::{ApiServer, Namespace, Wire};

/// Catalogs that are reconciled at the same time.
const CONCURRENCY: u16 = 4;

/// An API server on which an operator runs. On the shared one it would meddle with every test.
pub struct Watched {
    server: ApiServer,
    wire: Wire,
    metrics: Metrics,
}

impl Watched {
    /// The one that the tests of watches share.
    ///
    /// # Panics
    /// If it could not be started, with the reason, in every test.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Option<Watched>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| {
            let starting = thread::Builder::new().name("watched API server".into()).spawn(|| runtime().block_on(Self::start()));
            starting.expect("a thread can be started").join().ok()
        });
        shared.as_ref().expect("the watched API server could not be started; see the first panic of this run")
    }

    /// One for a test that changes what all namespaces share.
    ///
    /// # Panics
    /// If it doesn't start.
    pub async fn start() -> Self {
        Self::on(ApiServer::start().await).await
    }

    /// An operator that is started on a server which has been prepared for it.
    ///
    /// # Panics
    /// If it doesn't start.
    pub async fn on(server: ApiServer) -> Self {
        let wire = Wire::default();
        let config = server.operator_config().await;
        let metrics = Metrics::new().expect("metrics");
        let (its_wire, its_metrics) = (wire.clone(), metrics.clone());
        // A runtime of its own: that of a test ends with the test.
        let running = thread::Builder::new().name("operator".into()).spawn(move || {
            runtime().block_on(async {
                let client = its_wire.client(with_timeouts(config));
                controller::run(client, its_metrics, CONCURRENCY).await;
            });
        });
        drop(running.expect("a thread can be started"));
        Self { server, wire, metrics }
    }

    /// The server.
    pub fn server(&self) -> &ApiServer {
        &self.server
    }

    /// The operator's calls.
    pub fn wire(&self) -> &Wire {
        &self.wire
    }

    /// What it tells Prometheus.
    ///
    /// # Panics
    /// If that is no text.
    pub fn metrics(&self) -> String {
        String::from_utf8(self.metrics.text().expect("metrics can be written")).expect("metrics are text")
    }

    /// A new namespace.
    pub async fn namespace(&self, stem: &str) -> Namespace {
        Namespace::new(&self.server, stem).await
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}
