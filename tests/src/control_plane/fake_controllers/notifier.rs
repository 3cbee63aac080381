//! A fake notifier whose readiness report the test sets.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, routing::get};
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};

use super::FakeControllers;

/// Serves `/readyz` as the pod of a notifier does, until it is dropped.
pub struct Notifier {
    address: SocketAddr,
    report: Arc<Mutex<String>>,
    task: JoinHandle<()>,
}

impl Notifier {
    /// Starts to listen on the loopback address, and reports that the mail server is available.
    ///
    /// # Panics
    /// If it cannot listen.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let report = Arc::<Mutex<String>>::default();
        let current = report.clone();
        let readyz = move || std::future::ready(current.lock().expect("no test panics with it").clone());
        let router = Router::new().route("/readyz", get(readyz));
        let task = tokio::spawn(async { drop(axum::serve(listener, router).await) });
        let notifier = Self { address, report, task };
        notifier.set_mail_report("[+] mail server: ok");
        notifier
    }

    /// Sets the line of the report about the mail server.
    ///
    /// # Panics
    /// Never.
    pub fn set_mail_report(&self, line: &str) {
        *self.report.lock().expect("no test panics with it") = format!("ready\n[+] postgresql: ok\n[+] nats: ok\n{line}\n");
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakeControllers {
    /// Creates a running pod of the Deployment whose ops port is that of `notifier`. Returns the pod's name.
    ///
    /// # Panics
    /// If the Deployment doesn't exist.
    pub async fn run_notifier(&self, deployment: &str, notifier: &Notifier) -> String {
        let name = self.create_pod_with::<Deployment>(deployment, |spec| {
            spec["containers"][0]["ports"] = json!([{"name": "ops", "containerPort": notifier.address.port(), "protocol": "TCP"}]);
        });
        let name = name.await;
        let ip = notifier.address.ip();
        let container = json!({"ready": true, "restartCount": 0, "state": {"running": {}}});
        self.set_pod_status(&name, json!({"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "containerStatuses": [container]}))
            .await;
        name
    }
}
