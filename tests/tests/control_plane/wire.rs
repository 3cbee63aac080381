//! Tests of the layer with which other tests record calls and inject faults.

use std::{collections::BTreeMap, time::Duration};

use catalog_tests::control_plane::{ApiServer, Call, Fault, Namespace, Wire, wire::Verb};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{DeleteParams, ListParams, ObjectMeta, PostParams, WatchParams},
};

fn config_map(name: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() },
        data: Some(BTreeMap::from([("key".into(), "value".into())])),
        ..ConfigMap::default()
    }
}

fn call(verb: Verb, path: &str, occurrence: usize) -> Call {
    Call { verb, path: path.into(), occurrence }
}

/// Returns a namespace, a new layer, and the API of `ConfigMap`s through that layer.
async fn wired(stem: &str) -> (Namespace, Wire, Api<ConfigMap>) {
    let server = ApiServer::shared();
    let namespace = Namespace::new(server, stem).await;
    let wire = Wire::default();
    let api = Api::namespaced(server.client_through(&wire).await, namespace.name());
    (namespace, wire, api)
}

#[tokio::test]
async fn calls_are_named_by_verb_path_and_occurrence() {
    let (_, wire, api) = wired("named").await;
    api.create(&PostParams::default(), &config_map("a")).await.unwrap();
    api.get("a").await.unwrap();
    api.get("a").await.unwrap();
    api.list(&ListParams::default()).await.unwrap();
    let calls: Vec<_> = wire.calls().into_iter().map(|made| made.call).collect();
    let expected = [
        call(Verb::POST, "configmaps", 1),
        call(Verb::GET, "configmaps/a", 1),
        call(Verb::GET, "configmaps/a", 2),
        call(Verb::GET, "configmaps", 1),
    ];
    assert_eq!(calls, expected);
    assert_eq!(wire.writes(), expected[..1]);
}

#[tokio::test]
async fn a_call_that_is_not_sent_changes_nothing() {
    let (namespace, wire, api) = wired("not-sent").await;
    wire.plan(call(Verb::POST, "configmaps", 1), Fault::NotSent);
    api.create(&PostParams::default(), &config_map("a")).await.unwrap_err();
    assert!(namespace.all::<ConfigMap>().await.is_empty());
    assert_eq!(wire.injected(), 1);
    api.create(&PostParams::default(), &config_map("a")).await.expect("a fault occurs once");
}

#[tokio::test]
async fn a_call_whose_response_is_lost_takes_effect() {
    let (namespace, wire, api) = wired("lost").await;
    wire.plan(call(Verb::POST, "configmaps", 1), Fault::ResponseLost);
    api.create(&PostParams::default(), &config_map("a")).await.unwrap_err();
    assert_eq!(namespace.all::<ConfigMap>().await.len(), 1);
}

#[tokio::test]
async fn a_call_that_crashes_the_operator_takes_effect_and_never_returns() {
    let (namespace, wire, api) = wired("crash").await;
    wire.plan(call(Verb::DELETE, "configmaps/a", 1), Fault::Crash);
    api.create(&PostParams::default(), &config_map("a")).await.unwrap();
    let params = DeleteParams::default();
    tokio::select! {
        result = api.delete("a", &params) => panic!("it returned {result:?}"),
        () = wire.crashed() => {}
    }
    assert!(namespace.all::<ConfigMap>().await.is_empty());
}

#[tokio::test]
async fn a_stale_read_returns_the_first_response() {
    let (_, wire, api) = wired("stale").await;
    assert!(api.get_opt("a").await.unwrap().is_none());
    api.create(&PostParams::default(), &config_map("a")).await.unwrap();
    wire.plan(call(Verb::GET, "configmaps/a", 2), Fault::Stale);
    assert!(api.get_opt("a").await.unwrap().is_none());
    assert!(api.get_opt("a").await.unwrap().is_some());
    let changed: Vec<_> = wire.calls().iter().map(|made| made.has_changed).collect();
    assert_eq!(changed, [false, false, false, true], "the stale response equals the first one");
    wire.make_all_reads_stale(true);
    assert!(api.get_opt("a").await.unwrap().is_none());
    assert_eq!(wire.injected(), 2);
}

#[tokio::test]
async fn watches_are_not_recorded() {
    let (_, wire, api) = wired("watch").await;
    api.create(&PostParams::default(), &config_map("a")).await.unwrap();
    wire.reset();
    let mut events = std::pin::pin!(api.watch(&WatchParams::default(), "0").await.unwrap());
    let first = tokio::time::timeout(Duration::from_secs(30), futures::StreamExt::next(&mut events)).await.unwrap();
    assert!(first.unwrap().is_ok());
    assert!(wire.calls().is_empty());
}
