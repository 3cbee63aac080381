//! Starts etcd and kube-apiserver.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
    thread,
    time::Duration,
};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

use super::{
    audit::{self, Audit},
    call_recorder::CallRecorder,
    certificates::Certificates,
    definitions,
    programs::programs,
};
use crate::{
    nats::free_port,
    process_guard::{Server, ServerOptions},
    scratch::Scratch,
    wait,
};

/// A cold kube-apiserver starts slowly on a busy machine.
const START_TIMEOUT: Duration = Duration::from_mins(2);

/// A kube-apiserver with its own etcd. Both are killed when this value is dropped or this process ends.
pub struct ApiServer {
    // Dropped in order: the processes before their directories.
    api: Server,
    etcd: Server,
    scratch: Scratch,
    data: Scratch,
    kubeconfig: String,
}

impl ApiServer {
    /// Returns the server that all tests of this process share, with the CRDs of Catalog and KEDA.
    ///
    /// # Panics
    /// If it could not be started.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Option<ApiServer>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| {
            // In a separate runtime, because the runtime of the first test ends with that test.
            let starting = thread::Builder::new().name("shared API server".into()).spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(async {
                    let server = Self::start().await;
                    definitions::install_keda(&server.client().await).await;
                    server
                })
            });
            starting.expect("a thread can be started").join().ok()
        });
        shared.as_ref().expect("the shared API server could not be started; see the first panic of this run")
    }

    /// Starts a server for a test that changes cluster-scoped objects. It has the CRD of Catalog.
    ///
    /// # Panics
    /// If it doesn't start.
    pub async fn start() -> Self {
        Self::launch(false).await
    }

    /// Starts a server that writes an audit log; see [`super::audit`].
    ///
    /// # Panics
    /// If it doesn't start.
    pub async fn start_audited() -> Self {
        Self::launch(true).await
    }

    async fn launch(audited: bool) -> Self {
        // Another process may bind a port after it was found free.
        for _ in 0..5 {
            if let Some(started) = Self::try_start(audited).await {
                let client = started.client().await;
                definitions::install_catalog(&client).await;
                definitions::install_storage_class(&client).await;
                definitions::install_rbac(&client).await;
                return started;
            }
        }
        panic!("kube-apiserver did not start in five attempts; their output is above");
    }

    async fn try_start(audited: bool) -> Option<Self> {
        let (scratch, data) = (Scratch::new(None), Scratch::new(None));
        let (etcd_port, peer_port, port) = (free_port(), free_port(), free_port());
        let certificates = Certificates::make(scratch.path());
        let kubeconfig = certificates.admin(port);
        fs::write(scratch.path().join("kubeconfig"), certificates.operator(port)).expect("the directory can be written");

        let etcd =
            Server::start(&programs().etcd, &etcd_arguments(etcd_port, peer_port), &keeping(data.path())).expect("etcd can be started");
        let mut arguments = api_server_arguments(port, etcd_port, &certificates);
        if audited {
            arguments.extend(audit::arguments(scratch.path()));
        }
        // It runs for minutes only. With the default GOGC it spends half of its CPU time on garbage collection.
        let mut command = vec!["GOGC=300".into(), programs().kube_apiserver.clone().into()];
        command.extend(arguments);
        let api = Server::start(Path::new("env"), &command, &keeping(scratch.path())).expect("kube-apiserver can be started");
        let started = Self { api, etcd, scratch, data, kubeconfig };
        if started.came_up().await {
            return Some(started);
        }
        eprintln!("{}\n{}", started.output(), fs::read_to_string(started.data.path().join("output")).unwrap_or_default());
        None
    }

    async fn came_up(&self) -> bool {
        let client = self.client().await;
        wait::within(START_TIMEOUT, "kube-apiserver is ready or has exited", async || {
            if self.api.has_ended() {
                return Ok(false);
            }
            let request = http::Request::get("/readyz").body(Vec::new()).map_err(|error| error.to_string())?;
            client.request_text(request).await.map(|_| true).map_err(|error| error.to_string())
        })
        .await
    }

    /// Returns the client configuration of the administrator.
    ///
    /// # Panics
    /// If the kubeconfig is wrong.
    pub async fn config(&self) -> Config {
        config(&self.kubeconfig).await
    }

    /// Returns the client configuration of an operator, with the permissions that the chart grants.
    ///
    /// # Panics
    /// If the kubeconfig is wrong.
    pub async fn operator_config(&self) -> Config {
        config(&fs::read_to_string(self.kubeconfig()).expect("it was written")).await
    }

    /// Creates a client of the administrator on the current runtime.
    ///
    /// # Panics
    /// If the kubeconfig is wrong.
    pub async fn client(&self) -> Client {
        Client::try_from(self.config().await).expect("a client of our own kubeconfig")
    }

    /// Creates an operator's client whose calls pass through `recorder`.
    ///
    /// # Panics
    /// If the kubeconfig is wrong.
    pub async fn client_through(&self, recorder: &CallRecorder) -> Client {
        recorder.client(self.operator_config().await)
    }

    /// Returns the path of an operator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.scratch.path().join("kubeconfig")
    }

    /// Returns the process ids of kube-apiserver and etcd.
    pub fn pids(&self) -> [u32; 2] {
        [self.api.pid(), self.etcd.pid()]
    }

    /// Reads the audit log from now on. Only for servers from [`Self::start_audited`].
    pub fn audit(&self) -> Audit {
        Audit::of(self.scratch.path())
    }

    /// Returns what kube-apiserver printed.
    pub fn output(&self) -> String {
        fs::read_to_string(self.scratch.path().join("output")).unwrap_or_default()
    }
}

async fn config(kubeconfig: &str) -> Config {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).expect("our own kubeconfig is one");
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.expect("our own kubeconfig is complete")
}

fn keeping(directory: &Path) -> ServerOptions<'_> {
    ServerOptions { directory, signal: "KILL", remove_directory: true, user: None }
}

fn etcd_arguments(port: u16, peer_port: u16) -> Vec<OsString> {
    let (clients, peers) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer_port}"));
    [
        "--data-dir=data".to_owned(),
        // The data need not survive a crash of the machine.
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
        format!("--listen-client-urls={clients}"),
        format!("--advertise-client-urls={clients}"),
        format!("--listen-peer-urls={peers}"),
        format!("--initial-advertise-peer-urls={peers}"),
        format!("--initial-cluster=default={peers}"),
    ]
    .map(Into::into)
    .into()
}

fn api_server_arguments(port: u16, etcd_port: u16, certificates: &Certificates) -> Vec<OsString> {
    let file = |path: &PathBuf| path.display().to_string();
    [
        format!("--etcd-servers=http://127.0.0.1:{etcd_port}"),
        "--bind-address=127.0.0.1".to_owned(),
        "--advertise-address=127.0.0.1".to_owned(),
        // Otherwise it writes Endpoints of itself, in which loopback addresses are invalid.
        "--endpoint-reconciler-type=none".to_owned(),
        format!("--secure-port={port}"),
        format!("--tls-cert-file={}", file(&certificates.server)),
        format!("--tls-private-key-file={}", file(&certificates.server_key)),
        format!("--client-ca-file={}", file(&certificates.authority)),
        format!("--service-account-key-file={}", file(&certificates.token_public_key)),
        format!("--service-account-signing-key-file={}", file(&certificates.token_key)),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        "--authorization-mode=RBAC".to_owned(),
    ]
    .map(Into::into)
    .into()
}
