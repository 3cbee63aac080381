//! Only one installation of the operator leads in a cluster.

use catalog_operator::leader::{Elector, Leadership};
use catalog_tests::{
    control_plane::{ApiServer, Namespace},
    nats::free_port,
    process::Process,
    programs,
    wait::{DEFAULT_TIMEOUT, check, eventually},
};
use k8s_openapi::api::{apps::v1::Deployment, coordination::v1::Lease, events::v1::Event};
use kube::{
    Resource, ResourceExt,
    api::{DeleteParams, PostParams},
};
use serde_json::json;
use tokio::time::timeout;

const LEASE: &str = "catalog-operator";
pub(super) const DEPLOYMENT: &str = "operator";

/// An operator process with the environment that the chart sets: the pod's name is the identity in the election, the pod's namespace is
/// that of the Lease, and the Deployment, if it exists, becomes the owner of the Lease.
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
            ("DEPLOYMENT_NAME", DEPLOYMENT.to_owned()),
            ("OPS_ADDRESS", format!("127.0.0.1:{ops}")),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).into();
        Self { process: Process::of(&programs::catalog_operator(), &["run"], &environment, pod), ops }
    }

    /// Whether the readiness probe succeeds.
    async fn is_ready(&self) -> bool {
        self.succeeds("/readyz").await
    }

    /// Whether the liveness probe succeeds.
    async fn is_alive(&self) -> bool {
        self.succeeds("/livez").await
    }

    async fn succeeds(&self, path: &str) -> bool {
        let response = reqwest::get(format!("http://127.0.0.1:{}{path}", self.ops)).await;
        response.is_ok_and(|response| response.status().is_success())
    }

    async fn wait_until_ready(&self) {
        eventually("the operator is ready", async || check(self.is_ready().await, || self.process.log().lines())).await;
    }

    /// Waits until it exits without having become ready, and returns the exit code.
    async fn wait_for_exit(&mut self) -> Option<i32> {
        eventually("the operator exits", async || {
            assert!(!self.is_ready().await, "an installation that does not lead must not be ready");
            check(!self.process.is_running(), || self.process.log().lines())
        })
        .await;
        self.process.ended().await.code()
    }

    async fn stop(mut self) {
        self.process.terminate();
        assert!(self.process.ended().await.success(), "{}", self.process.report());
    }
}

async fn lease(namespace: &Namespace) -> Lease {
    namespace.api().get(LEASE).await.unwrap()
}

async fn holder(namespace: &Namespace) -> Option<String> {
    lease(namespace).await.spec?.holder_identity
}

/// Creates the Deployment of an installation. It has no pods, because no controllers run.
pub(super) async fn install(namespace: &Namespace) -> Deployment {
    let labels = json!({"app": DEPLOYMENT});
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "operator", "image": "operator"}]}});
    let spec = json!({"selector": {"matchLabels": labels}, "template": template});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": DEPLOYMENT}, "spec": spec});
    namespace.apply(&deployment).await.unwrap().try_parse().unwrap()
}

/// Deletes the Deployment and its Lease, which the garbage collector would delete.
async fn uninstall(namespace: &Namespace) {
    let owner = namespace.api::<Deployment>().get(DEPLOYMENT).await.unwrap().owner_ref(&()).unwrap();
    namespace.api::<Deployment>().delete(DEPLOYMENT, &DeleteParams::background()).await.unwrap();
    if lease(namespace).await.owner_references().contains(&owner) {
        namespace.api::<Lease>().delete(LEASE, &DeleteParams::default()).await.unwrap();
    }
}

async fn wait_until_owned(namespace: &Namespace, deployment: &Deployment) {
    let owner = deployment.owner_ref(&()).unwrap();
    eventually("the Deployment owns the Lease", async || {
        let lease = namespace.api::<Lease>().get_opt(LEASE).await.unwrap().unwrap_or_default();
        check(lease.owner_references() == [owner.clone()] && lease.annotations().is_empty(), || lease.metadata.clone())
    })
    .await;
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
    assert!(!notes.iter().any(|note| note.contains("stopped leading")), "it never led: {notes:?}");
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
        let [mut first, mut second] = [&blue, &green].map(|namespace| Installed::start(&server, namespace, namespace.name()));
        eventually("one of them exits", async || {
            assert!(!(first.is_ready().await && second.is_ready().await), "both lead");
            check(!(first.process.is_running() && second.process.is_running()), || first.process.log().lines())
        })
        .await;
        let (stays, mut yields) = if first.process.is_running() { (first, second) } else { (second, first) };
        assert_eq!(yields.process.ended().await.code(), Some(1), "{}", yields.process.report());
        stays.wait_until_ready().await;
        let holders: Vec<_> = [holder(&blue).await, holder(&green).await].into_iter().flatten().collect();
        assert!(matches!(&holders[..], [holder] if [blue.name(), green.name()].contains(&holder.as_str())), "{holders:?}");
        stays.stop().await;
    }
}

#[tokio::test]
async fn a_second_installation_never_leads_while_the_deployment_of_the_first_exists() {
    let server = ApiServer::start().await;
    let (blue, green) = (Namespace::new(&server, "blue").await, Namespace::new(&server, "green").await);
    let deployment = install(&blue).await;
    install(&green).await;
    let first = Installed::start(&server, &blue, "first");
    wait_until_owned(&blue, &deployment).await;
    // The Lease is released, as after a drain of the node.
    first.stop().await;
    assert_eq!(holder(&blue).await, None);

    let mut second = Installed::start(&server, &green, "second");
    assert_eq!(second.wait_for_exit().await, Some(1));
    let why = format!("is installed in namespace {} (Lease catalog-operator, owner Deployment {DEPLOYMENT})", blue.name());
    assert!(second.process.log().lines().pop().unwrap().contains(&why), "{}", second.process.report());
    let released = lease(&green).await;
    assert!(released.owner_references().is_empty() && released.annotations().is_empty(), "it has never led: {released:?}");
    // The Lease of the second installation has no owner, so it doesn't stop the first.
    let first = Installed::start(&server, &blue, "replacement");
    first.wait_until_ready().await;
    assert_eq!(holder(&blue).await.as_deref(), Some("replacement"));

    first.stop().await;
    uninstall(&blue).await;
    let second = Installed::start(&server, &green, "second");
    second.wait_until_ready().await;
}

#[tokio::test]
async fn an_operator_whose_deployment_is_not_found_leads_with_a_lease_without_an_owner() {
    let server = ApiServer::start().await;
    let namespace = Namespace::new(&server, "blue").await;
    let operator = Installed::start(&server, &namespace, "first");
    operator.wait_until_ready().await;
    eventually("the operator logs why the Lease has no owner", async || {
        let lines = operator.process.log().lines();
        check(lines.iter().any(|line| line.contains("lease has no owner") && line.contains("\\\"operator\\\" not found")), || lines.clone())
    })
    .await;
    assert!(lease(&namespace).await.owner_references().is_empty());
    // As after `kubectl replace --force`.
    let deployment = install(&namespace).await;
    wait_until_owned(&namespace, &deployment).await;
    uninstall(&namespace).await;
    let deployment = install(&namespace).await;
    wait_until_owned(&namespace, &deployment).await;
    operator.stop().await;
}

#[tokio::test]
async fn a_leader_whose_lease_was_deleted_looks_for_other_installations_before_it_leads_again() {
    let server = ApiServer::start().await;
    let (blue, green) = (Namespace::new(&server, "blue").await, Namespace::new(&server, "green").await);
    let leadership = Leadership::default();
    let elector = Elector::new(blue.client().clone(), blue.name(), "first".into(), leadership.clone()).alone_in_cluster(blue.name());
    let first = tokio::spawn(elector.run(std::future::pending()));
    leadership.wait_until_won().await;
    let owner = json!([install(&green).await.owner_ref(&()).unwrap()]);
    let other = json!({"metadata": {"name": LEASE, "ownerReferences": owner}});
    green.api::<Lease>().create(&PostParams::default(), &serde_json::from_value(other).unwrap()).await.unwrap();
    blue.api::<Lease>().delete(LEASE, &DeleteParams::default()).await.unwrap();
    let ended = timeout(DEFAULT_TIMEOUT, first).await.expect("the election ends");
    let another = ended.unwrap().unwrap_err();
    assert!(another.to_string().contains(&format!("is installed in namespace {}", green.name())), "{another}");
    assert!(!leadership.holds());
}

/// A pod whose liveness probe failed would be restarted, and `helm install --wait` would succeed if its readiness probe succeeded.
#[tokio::test]
async fn an_operator_that_waits_for_another_installation_is_alive_but_not_ready_and_logs_that_once() {
    let server = ApiServer::start().await;
    let (blue, green) = (Namespace::new(&server, "blue").await, Namespace::new(&server, "green").await);
    // The Lease of a process that has ended without releasing it.
    let held = json!({"metadata": {"name": LEASE}, "spec": {"holderIdentity": "ended"}});
    green.api::<Lease>().create(&PostParams::default(), &serde_json::from_value(held).unwrap()).await.unwrap();
    let operator = Installed::start(&server, &blue, "first");
    let waits = |line: &String| line.contains("may be running; waiting");
    eventually("the operator waits", async || {
        let lines = operator.process.log().lines();
        check(lines.iter().any(waits), || lines.clone())
    })
    .await;
    assert!(operator.is_alive().await && !operator.is_ready().await, "it waits for another installation");
    // Another pod of its installation doesn't lead either, so it isn't ready to take over.
    let standby = Installed::start(&server, &blue, "standby");
    eventually("the standby is alive", async || check(standby.is_alive().await, || standby.process.log().lines())).await;
    assert!(!standby.is_ready().await, "no pod of its installation leads");
    operator.wait_until_ready().await;
    standby.wait_until_ready().await;
    let logged = operator.process.log().lines().iter().filter(|line| waits(line)).count();
    let notes: Vec<_> = blue.all::<Event>().await.into_iter().filter_map(|event| event.note).collect();
    let note = format!("first doesn't lead yet: another installation of the operator may be running in namespace {}", green.name());
    assert!(logged == 1 && notes.iter().filter(|found| found.starts_with(&note)).count() == 1, "{logged} {notes:?}");
    standby.stop().await;
    operator.stop().await;
}
