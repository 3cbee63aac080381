//! A notifier that reports what a test says of the mail server.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, routing::get};
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};

use super::FakeControllers;

/// Answers as the pod of a notifier does. It ends with its value.
pub struct Notifier {
    address: SocketAddr,
    report: Arc<Mutex<String>>,
    task: JoinHandle<()>,
}

impl Notifier {
    /// Listens on this machine. The mail server is available.
    ///
    /// # Panics
    /// If it cannot listen.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let report = Arc::<Mutex<String>>::default();
        let said = report.clone();
        let report_of = move || std::future::ready(said.lock().expect("no test panics with it").clone());
        let router = Router::new().route("/readyz", get(report_of));
        let task = tokio::spawn(async { drop(axum::serve(listener, router).await) });
        let notifier = Self { address, report, task };
        notifier.says("[+] mail server: ok");
        notifier
    }

    /// From now on its report has this line.
    ///
    /// # Panics
    /// Never.
    pub fn says(&self, line: &str) {
        *self.report.lock().expect("no test panics with it") = format!("ready\n[+] postgresql: ok\n[+] nats: ok\n{line}\n");
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakeControllers {
    /// A pod of the notifier runs, and is this one. Its name.
    ///
    /// # Panics
    /// If there is no such Deployment.
    pub async fn run_notifier(&self, deployment: &str, notifier: &Notifier) -> String {
        let name = self.create_pod_with::<Deployment>(deployment, |spec| {
            spec["containers"][0]["ports"] = json!([{"name": "ops", "containerPort": notifier.address.port(), "protocol": "TCP"}]);
        });
        let name = name.await;
        let ip = notifier.address.ip();
        let container = json!({"ready": true, "restartCount": 0, "state": {"running": {}}});
        self.set_pod(&name, json!({"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "containerStatuses": [container]})).await;
        name
    }
}
