//! Reports: what the operator does is in Events and log lines, and a crash loop doesn't flood them.

use std::collections::BTreeMap;

use catalog_operator::crd::Catalog;
use catalog_tests::{
    control_plane::{
        ApiServer, FakeControllers, Namespace, Operator,
        operator::{NAME, catalog},
        specs::{minimal, with},
    },
    eventually,
    process::Process,
    programs,
    wait::holds,
};
use k8s_openapi::{
    api::{apps::v1::Deployment, events::v1::Event},
    jiff::SignedDuration,
};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

/// Lists every field of the log lines.
const LOGGING: &str = include_str!("../../../docs/logging.md");

/// Notes and counts of all Events about the Catalog, by reason.
async fn events(namespace: &Namespace) -> BTreeMap<String, Vec<(String, i32)>> {
    let mut all = BTreeMap::<_, Vec<_>>::new();
    // The API server publishes Events of Services.
    let of_operator = |event: &Event| event.reporting_controller.as_deref() == Some("catalog-operator");
    for event in namespace.all::<Event>().await.into_iter().filter(of_operator) {
        assert_eq!(event.regarding.and_then(|object| object.kind).as_deref(), Some("Catalog"));
        let count = event.series.map_or(1, |series| series.count);
        all.entry(event.reason.unwrap_or_default()).or_default().push((event.note.unwrap_or_default(), count));
    }
    all
}

async fn assert_event(operator: &Operator, reason: &str, text: &str) {
    let events = events(operator.namespace()).await;
    let found = events.get(reason).is_some_and(|events| events.iter().any(|(note, _)| note.contains(text)));
    assert!(found, "no Event {reason} with {text:?}: {events:#?}");
}

#[tokio::test]
async fn what_happens_to_a_shop_is_an_event() {
    let mut operator = Operator::new("events").await;
    let spec = with(minimal(), "/mail/credentialsSecretRef", json!({"name": "mail"}));
    let spec = with(spec, "/database/embedded", json!({"storage": "1Gi"}));
    operator.apply(&spec).await.unwrap();
    operator.settle().await;
    assert_event(&operator, "MigrationStarted", "Job shop-migrate-").await;
    assert_event(&operator, "MigrationSucceeded", "").await;
    assert_event(&operator, "Ready", "everything works").await;

    operator.controllers().lose_all_pods_of("shop-api").await;
    operator.reconcile().await;
    assert_event(&operator, "NotReady", "ApiAvailable").await;
    assert_event(&operator, "NotReady", "notifier 1/1").await;

    operator.settle().await;
    assert_event(&operator, "Recovered", "It was not ready for").await;

    operator.controllers().lose_all_pods_of("shop-notifier").await;
    operator.reconcile().await;
    assert_event(&operator, "NotReady", "NotifierAvailable").await;
    operator.settle().await;

    operator.write_secret("mail", &[("username", "shop"), ("password", "another")]).await;
    operator.settle().await;
    assert_event(&operator, "SecretsRotated", "Deployment shop-notifier").await;

    let spec = with(spec, "/database/embedded/storage", json!("2Gi"));
    operator.apply(&spec).await.unwrap();
    operator.settle().await;
    assert_event(&operator, "VolumeGrown", "PersistentVolumeClaim shop-postgres-data requests 2Gi; it requested 1Gi before").await;

    let autoscaling = json!({"minReplicas": 2, "maxReplicas": 5, "targetCPUUtilizationPercentage": 70});
    operator.apply(&with(spec.clone(), "/api", json!({"autoscaling": autoscaling}))).await.unwrap();
    operator.settle().await;
    operator.apply(&spec).await.unwrap();
    operator.settle().await;
    assert_event(&operator, "Pruned", "HorizontalPodAutoscaler shop-api was deleted").await;

    operator.apply(&with(spec, "/image/tag", json!("9.9.9"))).await.unwrap();
    operator.settle().await;
    assert_event(&operator, "Upgraded", "All pods run 9.9.9; they ran ").await;

    operator.pass(SignedDuration::from_hours(24 * 91));
    operator.reconcile().await;
    assert_event(&operator, "SigningKeyRotated", "Secret shop-signing-keys").await;
}

#[tokio::test]
async fn a_shop_that_fails_again_and_again_is_no_flood_of_events() {
    let mut operator = Operator::new("flood").await;
    operator.apply(&minimal()).await.unwrap();
    operator.settle().await;
    for _ in 0..30 {
        operator.controllers().lose_all_pods_of("shop-api").await;
        operator.reconcile().await;
        operator.controllers().everything_goes_well().await;
        operator.reconcile().await;
    }
    let events = events(operator.namespace()).await;
    for (reason, events) in &events {
        let written: i32 = events.iter().map(|(_, count)| count).sum();
        println!("{reason}: {} Events, written {written} times", events.len());
        assert!(written <= 6, "{reason}: {events:?}");
    }
    assert!(events.contains_key("NotReady"), "{events:?}");
}

/// Lines with this message about this object.
fn lines(log: &[Value], message: &str, kind: &str, name: &str) -> Vec<Value> {
    let is = |line: &&Value| line["message"] == message && line["object_kind"] == kind && line["object_name"] == name;
    log.iter().filter(is).cloned().collect()
}

#[tokio::test]
async fn what_is_written_is_one_log_line_each_with_the_fields_of_the_documentation() {
    let server = ApiServer::start().await;
    let namespace = Namespace::new(&server, "logged").await;
    let environment = [("KUBECONFIG".to_owned(), server.kubeconfig().display().to_string()), ("LOG_FORMAT".to_owned(), "json".to_owned())];
    let operator =
        Process::of(&programs::catalog_operator(), &["run", "--ops-address", "127.0.0.1:0"], &environment.into(), "catalog-operator");
    let (controllers, deployments) = (FakeControllers::new(&namespace), namespace.api::<Deployment>());
    let autoscaling = json!({"autoscaling": {"minReplicas": 2, "maxReplicas": 5, "targetCPUUtilizationPercentage": 70}});
    namespace.apply(&catalog(&with(minimal(), "/api", autoscaling))).await.unwrap();
    let is_ready = async || {
        controllers.everything_goes_well().await;
        let status = namespace.api::<Catalog>().get(NAME).await.unwrap().status.unwrap_or_default();
        holds(status.conditions.iter().any(|one| one.type_ == "Ready" && one.status == "True"), || format!("{:?}", operator.log().lines()))
    };
    eventually("the shop is ready", is_ready).await;

    deployments.delete("shop-tracker", &DeleteParams::background()).await.unwrap();
    let edit = PatchParams { field_manager: Some("kubectl-edit".into()), ..PatchParams::default() };
    deployments.patch("shop-notifier", &edit, &Patch::Merge(json!({"spec": {"replicas": 3}}))).await.unwrap();
    namespace.apply(&catalog(&minimal())).await.unwrap();
    eventually("each change is logged", async || {
        let log = operator.log().entries();
        let created = lines(&log, "object created", "Deployment", "shop-tracker");
        let patched = lines(&log, "object patched", "Deployment", "shop-notifier");
        let deleted = lines(&log, "object deleted", "HorizontalPodAutoscaler", "shop-api");
        holds(created.len() == 2 && !patched.is_empty() && deleted.len() == 1, || format!("{created:?} {patched:?} {deleted:?}"))
    })
    .await;
    let log = operator.log().entries();
    for line in log.iter().filter(|line| line["message"].as_str().is_some_and(|message| message.starts_with("object "))) {
        assert_eq!((&line["namespace"], &line["name"]), (&json!(namespace.name()), &json!(NAME)), "{line}");
        assert!(line["reason"].is_string() && line["object_kind"].is_string() && line["object_name"].is_string(), "{line}");
    }
    for line in log.iter().filter(|line| line["target"].as_str().is_some_and(|target| target.starts_with("catalog"))) {
        for field in line.as_object().unwrap().keys() {
            assert!(LOGGING.contains(&format!("`{field}`")), "docs/logging.md doesn't list {field}: {line}");
        }
    }
}
