//! Only one installation of the operator leads in a cluster.

use catalog_tests::{
    control_plane::{ApiServer, Namespace},
    nats::free_port,
    process::Process,
    programs,
    wait::{eventually, holds},
};
use k8s_openapi::api::{coordination::v1::Lease, events::v1::Event};

/// An operator process with the environment of its chart: the pod's name is the identity in the election, and the pod's namespace
/// is that of the Lease.
struct Installed {
    process: Process,
    ops: u16,
}

impl Installed {
    fn start(server: &ApiServer, namespace: &Namespace, pod: &str) -> Self {
        let ops = free_port();
        let environment = [
            ("KUBECONFIG", server.kubeconfig().display().to_string()),
            ("POD_NAMESPACE", namespace.name().to_owned()),
            ("POD_NAME", pod.to_owned()),
            ("OPS_ADDRESS", format!("127.0.0.1:{ops}")),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).into();
        Self { process: Process::of(&programs::catalog_operator(), &["run"], &environment, pod), ops }
    }

    /// Whether the readiness probe succeeds.
    async fn is_ready(&self) -> bool {
        let response = reqwest::get(format!("http://127.0.0.1:{}/readyz", self.ops)).await;
        response.is_ok_and(|response| response.status().is_success())
    }

    async fn wait_until_ready(&self) {
        eventually("the operator is ready", async || holds(self.is_ready().await, || self.process.log().lines())).await;
    }

    /// Waits until it exits without having become ready, and returns the exit code.
    async fn wait_for_exit(&mut self) -> Option<i32> {
        eventually("the operator exits", async || {
            assert!(!self.is_ready().await, "an installation that does not lead must not be ready");
            holds(!self.process.is_running(), || self.process.log().lines())
        })
        .await;
        self.process.ended().await.code()
    }

    async fn stop(mut self) {
        self.process.terminate();
        assert!(self.process.ended().await.success(), "{}", self.process.report());
    }
}

async fn holder(namespace: &Namespace) -> Option<String> {
    namespace.api::<Lease>().get("catalog-operator").await.unwrap().spec?.holder_identity
}

#[tokio::test]
async fn a_second_installation_exits_while_the_first_runs_and_leads_after_it() {
    let server = ApiServer::start().await;
    let (blue, green) = (Namespace::new(&server, "blue").await, Namespace::new(&server, "green").await);
    let first = Installed::start(&server, &blue, "first");
    first.wait_until_ready().await;
    assert_eq!(holder(&blue).await.as_deref(), Some("first"));
    let standby = Installed::start(&server, &blue, "standby");
    standby.wait_until_ready().await;

    let mut second = Installed::start(&server, &green, "second");
    assert_eq!(second.wait_for_exit().await, Some(1));
    let why = format!(
        "another installation of the operator leads in namespace {} (Lease catalog-operator, holder first): \
         one installation serves all namespaces of a cluster; uninstall one of the two",
        blue.name()
    );
    assert_eq!(second.process.log().lines().pop(), Some(why.clone()), "the kubelet shows the last lines of the log");
    let notes: Vec<_> = green.all::<Event>().await.into_iter().filter_map(|event| event.note).collect();
    assert!(notes.contains(&format!("second doesn't lead: {why}")), "{notes:?}");
    assert_eq!((holder(&green).await, holder(&blue).await.as_deref()), (None, Some("first")));

    first.stop().await;
    standby.stop().await;
    let second = Installed::start(&server, &green, "second");
    second.wait_until_ready().await;
    assert_eq!(holder(&green).await.as_deref(), Some("second"));
}

#[tokio::test]
async fn only_one_of_two_installations_that_start_together_leads() {
    let server = ApiServer::start().await;
    let (blue, green) = (Namespace::new(&server, "blue").await, Namespace::new(&server, "green").await);
    for _ in 0..2 {
        let leader = Installed::start(&server, &blue, "blue");
        let mut other = Installed::start(&server, &green, "green");
        let (code, ()) = tokio::join!(other.wait_for_exit(), leader.wait_until_ready());
        assert_eq!(code, Some(1), "{}", other.process.report());
        assert_eq!((holder(&blue).await.as_deref(), holder(&green).await), (Some("blue"), None));
        leader.stop().await;
    }
}
