//! Tests of the layer with which other tests record calls and inject faults.

use std::{collections::BTreeMap, time::Duration};

use catalog_tests::control_plane::{ApiServer, Call, CallRecorder, Fault, Namespace, call_recorder::Verb};
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
async fn recorded_api(stem: &str) -> (Namespace, CallRecorder, Api<ConfigMap>) {
    let server = ApiServer::shared();
    let namespace = Namespace::new(server, stem).await;
    let recorder = CallRecorder::default();
    let api = Api::namespaced(server.client_through(&recorder).await, namespace.name());
    (namespace, recorder, api)
}

#[tokio::test]
async fn calls_are_named_by_verb_path_and_occurrence() {
    let (_, recorder, api) = recorded_api("named").await;
    api.create(&PostParams::default(), &config_map("a")).await.unwrap();
    api.get("a").await.unwrap();
    api.get("a").await.unwrap();
    api.list(&ListParams::default()).await.unwrap();
    let calls: Vec<_> = recorder.calls().into_iter().map(|made| made.call).collect();
    let expected = [
        call(Verb::POST, "configmaps", 1),
        call(Verb::GET, "configmaps/a", 1),
        call(Verb::GET, "configmaps/a", 2),
        call(Verb::GET, "configmaps", 1),
    ];
    assert_eq!(calls, expected);
    assert_eq!(recorder.writes(), expected[..1]);
}

#[tokio::test]
async fn a_call_that_is_not_sent_changes_nothing() {
    let (namespace, recorder, api) = recorded_api("not-sent").await;
    recorder.plan(call(Verb::POST, "configmaps", 1), Fault::NotSent);
    api.create(&PostParams::default(), &config_map("a")).await.unwrap_err();
    assert!(namespace.all::<ConfigMap>().await.is_empty());
    assert_eq!(recorder.injected(), 1);
    api.create(&PostParams::default(), &config_map("a")).await.expect("a fault occurs once");
}

#[tokio::test]
async fn a_call_whose_response_is_lost_takes_effect() {
    let (namespace, recorder, api) = recorded_api("lost").await;
    recorder.plan(call(Verb::POST, "configmaps", 1), Fault::ResponseLost);
    api.create(&PostParams::default(), &config_map("a")).await.unwrap_err();
    assert_eq!(namespace.all::<ConfigMap>().await.len(), 1);
}

#[tokio::test]
async fn a_call_that_crashes_the_operator_takes_effect_and_never_returns() {
    let (namespace, recorder, api) = recorded_api("crash").await;
    recorder.plan(call(Verb::DELETE, "configmaps/a", 1), Fault::Crash);
    api.create(&PostParams::default(), &config_map("a")).await.unwrap();
    let params = DeleteParams::default();
    tokio::select! {
        result = api.delete("a", &params) => panic!("it returned {result:?}"),
        () = recorder.crashed() => {}
    }
    assert!(namespace.all::<ConfigMap>().await.is_empty());
}

#[tokio::test]
async fn a_stale_read_returns_the_first_response() {
    let (_, recorder, api) = recorded_api("stale").await;
    assert!(api.get_opt("a").await.unwrap().is_none());
    api.create(&PostParams::default(), &config_map("a")).await.unwrap();
    recorder.plan(call(Verb::GET, "configmaps/a", 2), Fault::Stale);
    assert!(api.get_opt("a").await.unwrap().is_none());
    assert!(api.get_opt("a").await.unwrap().is_some());
    let changed: Vec<_> = recorder.calls().iter().map(|made| made.has_changed).collect();
    assert_eq!(changed, [false, false, false, true], "the stale response equals the first one");
    recorder.make_all_reads_stale(true);
    assert!(api.get_opt("a").await.unwrap().is_none());
    assert_eq!(recorder.injected(), 2);
}

#[tokio::test]
async fn watches_are_not_recorded() {
    let (_, recorder, api) = recorded_api("watch").await;
    api.create(&PostParams::default(), &config_map("a")).await.unwrap();
    recorder.reset();
    let mut events = std::pin::pin!(api.watch(&WatchParams::default(), "0").await.unwrap());
    let first = tokio::time::timeout(Duration::from_secs(30), futures::StreamExt::next(&mut events)).await.unwrap();
    assert!(first.unwrap().is_ok());
    assert!(recorder.calls().is_empty());
}
