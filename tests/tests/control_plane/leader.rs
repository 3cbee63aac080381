//! Leader election and the fence: only the leader writes.

use catalog_operator::leader::{AnotherInstallation, Elector, Leadership, fence};
use catalog_tests::{
    control_plane::{ApiServer, Namespace},
    wait::{check, eventually},
};
use k8s_openapi::api::{coordination::v1::Lease, core::v1::ConfigMap, events::v1::Event};
use kube::{
    Client,
    api::{ListParams, Patch, PatchParams, PostParams},
    client::ClientBuilder,
};
use serde_json::json;
use tokio::{sync::oneshot, task::JoinHandle};

struct Running {
    leadership: Leadership,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), AnotherInstallation>>,
}

fn elector(namespace: &Namespace, identity: &str) -> Running {
    let leadership = Leadership::default();
    let (stop, stopped) = oneshot::channel();
    let elector = Elector::new(namespace.client().clone(), namespace.name(), identity.into(), leadership.clone());
    let task = tokio::spawn(elector.run(async { drop(stopped.await) }));
    Running { leadership, stop, task }
}

async fn holder(namespace: &Namespace) -> Option<String> {
    let lease = namespace.api::<Lease>().get_opt("catalog-operator").await.unwrap();
    lease?.spec?.holder_identity
}

async fn fenced(server: &ApiServer, leadership: &Leadership) -> Client {
    ClientBuilder::try_from(server.config().await).unwrap().with_layer(&fence(leadership.clone())).build()
}

#[tokio::test]
async fn a_standby_leads_after_the_leader_stops() {
    let namespace = Namespace::new(ApiServer::shared(), "leaders").await;
    let first = elector(&namespace, "first");
    first.leadership.wait_until_won().await;
    let second = elector(&namespace, "second");
    eventually("the first elector holds the Lease", async || {
        check(holder(&namespace).await.as_deref() == Some("first"), || "another holder or none")
    })
    .await;
    assert!(first.leadership.holds() && !second.leadership.holds());

    first.stop.send(()).unwrap();
    first.task.await.unwrap().unwrap();
    assert!(!first.leadership.holds());
    second.leadership.wait_until_won().await;
    assert_eq!(holder(&namespace).await.as_deref(), Some("second"));
    assert_eq!(namespace.api::<Lease>().get("catalog-operator").await.unwrap().spec.unwrap().lease_transitions, Some(2));
}

#[tokio::test]
async fn losing_the_lease_publishes_an_event() {
    let namespace = Namespace::new(ApiServer::shared(), "lost-lease").await;
    let first = elector(&namespace, "first");
    first.leadership.wait_until_won().await;
    let stolen = json!({"spec": {"holderIdentity": "thief"}});
    namespace.api::<Lease>().patch("catalog-operator", &PatchParams::default(), &Patch::Merge(stolen)).await.unwrap();
    eventually("both changes of the leader are published", async || {
        let events = namespace.all::<Event>().await.into_iter().filter(|event| event.reason.as_deref() == Some("LeaderElection"));
        let notes: Vec<_> = events.filter_map(|event| event.note).collect();
        let has = |text: &str| notes.iter().any(|note| note == text);
        check(has("first became leader") && has("first stopped leading: thief holds the Lease"), || notes.clone())
    })
    .await;
    assert!(!first.leadership.holds());
    first.task.abort();
}

#[tokio::test]
async fn a_standby_leads_after_the_lease_of_a_dead_leader_expires() {
    let namespace = Namespace::new(ApiServer::shared(), "dead-leader").await;
    let first = elector(&namespace, "first");
    first.leadership.wait_until_won().await;
    first.task.abort();
    let second = elector(&namespace, "second");
    eventually("the second elector leads", async || check(second.leadership.holds(), || "it does not lead")).await;
    // The renew deadline of the first elector is before the expiry of its Lease.
    assert!(!first.leadership.holds());
}

#[tokio::test]
async fn a_standby_can_read_but_not_write() {
    let server = ApiServer::shared();
    let namespace = Namespace::new(server, "fenced").await;
    let leadership = Leadership::default();
    let fenced: kube::Api<ConfigMap> = kube::Api::namespaced(fenced(server, &leadership).await, namespace.name());
    fenced.list(&ListParams::default()).await.unwrap();
    let mut config_map = ConfigMap::default();
    config_map.metadata.name = Some("one".into());
    let error = fenced.create(&PostParams::default(), &config_map).await.unwrap_err();
    assert!(error.to_string().contains("no longer leads"), "{error}");
    assert!(namespace.api::<ConfigMap>().get_opt("one").await.unwrap().is_none());

    let elector = Elector::new(namespace.client().clone(), namespace.name(), "it".into(), leadership.clone());
    let task = tokio::spawn(elector.run(std::future::pending()));
    leadership.wait_until_won().await;
    fenced.create(&PostParams::default(), &config_map).await.unwrap();
    task.abort();
}
