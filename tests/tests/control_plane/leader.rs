//! One operator at a time writes.

use catalog_operator::leader::{AnotherInstallation, Candidate, Leadership, fence};
use catalog_tests::{
    control_plane::{ApiServer, Namespace},
    wait::{eventually, holds},
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

fn candidate(namespace: &Namespace, identity: &str) -> Running {
    let leadership = Leadership::default();
    let (stop, stopped) = oneshot::channel();
    let candidate = Candidate::new(namespace.client().clone(), namespace.name(), identity.into(), leadership.clone());
    let task = tokio::spawn(candidate.run(async { drop(stopped.await) }));
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
async fn one_leads_and_another_follows_when_it_leaves() {
    let namespace = Namespace::new(ApiServer::shared(), "leaders").await;
    let first = candidate(&namespace, "first");
    first.leadership.won().await;
    let second = candidate(&namespace, "second");
    eventually("the second one has looked", async || holds(holder(&namespace).await.as_deref() == Some("first"), || "nobody")).await;
    assert!(first.leadership.holds() && !second.leadership.holds());

    first.stop.send(()).unwrap();
    first.task.await.unwrap().unwrap();
    assert!(!first.leadership.holds());
    second.leadership.won().await;
    assert_eq!(holder(&namespace).await.as_deref(), Some("second"));
    assert_eq!(namespace.api::<Lease>().get("catalog-operator").await.unwrap().spec.unwrap().lease_transitions, Some(2));
}

#[tokio::test]
async fn losing_the_lease_is_an_event_of_the_lease() {
    let namespace = Namespace::new(ApiServer::shared(), "lost-lease").await;
    let first = candidate(&namespace, "first");
    first.leadership.won().await;
    let thief = json!({"spec": {"holderIdentity": "thief"}});
    namespace.api::<Lease>().patch("catalog-operator", &PatchParams::default(), &Patch::Merge(thief)).await.unwrap();
    eventually("both changes of the leader are Events", async || {
        let events = namespace.all::<Event>().await.into_iter().filter(|event| event.reason.as_deref() == Some("LeaderElection"));
        let notes: Vec<_> = events.filter_map(|event| event.note).collect();
        let has = |text: &str| notes.iter().any(|note| note == text);
        holds(has("first became leader") && has("first stopped leading: thief holds the Lease"), || notes.clone())
    })
    .await;
    assert!(!first.leadership.holds());
    first.task.abort();
}

#[tokio::test]
async fn who_dies_without_a_word_is_followed_when_the_lease_is_over() {
    let namespace = Namespace::new(ApiServer::shared(), "dead-leader").await;
    let first = candidate(&namespace, "first");
    first.leadership.won().await;
    first.task.abort();
    let second = candidate(&namespace, "second");
    eventually("the second one takes over", async || holds(second.leadership.holds(), || "it doesn't")).await;
    // What the first one believed was over before.
    assert!(!first.leadership.holds());
}

#[tokio::test]
async fn who_doesnt_lead_may_look_and_not_write() {
    let server = ApiServer::shared();
    let namespace = Namespace::new(server, "fenced").await;
    let leadership = Leadership::default();
    let fenced: kube::Api<ConfigMap> = kube::Api::namespaced(fenced(server, &leadership).await, namespace.name());
    fenced.list(&ListParams::default()).await.unwrap();
    let mut one = ConfigMap::default();
    one.metadata.name = Some("one".into());
    let refused = fenced.create(&PostParams::default(), &one).await.unwrap_err();
    assert!(refused.to_string().contains("no longer leads"), "{refused}");
    assert!(namespace.api::<ConfigMap>().get_opt("one").await.unwrap().is_none());

    let candidate = Candidate::new(namespace.client().clone(), namespace.name(), "it".into(), leadership.clone());
    let task = tokio::spawn(candidate.run(std::future::pending()));
    leadership.won().await;
    fenced.create(&PostParams::default(), &one).await.unwrap();
    task.abort();
}
