//! The operator reports what it does in Events and log lines.

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
    wait::check,
};
use k8s_openapi::{
    api::{apps::v1::Deployment, events::v1::Event},
    jiff::SignedDuration,
};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

/// The documentation of all log fields.
const LOGGING: &str = include_str!("../../../docs/logging.md");

/// Returns notes and counts of all Events about the Catalog, by reason.
async fn events(namespace: &Namespace) -> BTreeMap<String, Vec<(String, i32)>> {
    let mut all = BTreeMap::<_, Vec<_>>::new();
    // The API server publishes Events about Services.
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
async fn the_operator_publishes_an_event_for_each_kind_of_change() {
    let mut operator = Operator::new("events").await;
    let spec = with(minimal(), "/mail/credentialsSecretRef", json!({"name": "mail"}));
    let spec = with(spec, "/database/embedded", json!({"storage": "1Gi"}));
    operator.apply(&spec).await.unwrap();
    operator.reconcile_until_ready().await;
    assert_event(&operator, "MigrationStarted", "Job shop-migrate-").await;
    assert_event(&operator, "MigrationSucceeded", "").await;
    assert_event(&operator, "Ready", "everything works").await;

    operator.controllers().mark_pods_unavailable("shop-api").await;
    operator.reconcile().await;
    assert_event(&operator, "NotReady", "ApiAvailable").await;
    assert_event(&operator, "NotReady", "notifier 1/1").await;

    operator.reconcile_until_ready().await;
    assert_event(&operator, "Recovered", "It was not ready for").await;

    operator.controllers().mark_pods_unavailable("shop-notifier").await;
    operator.reconcile().await;
    assert_event(&operator, "NotReady", "NotifierAvailable").await;
    operator.reconcile_until_ready().await;

    operator.write_secret("mail", &[("username", "shop"), ("password", "another")]).await;
    operator.reconcile_until_ready().await;
    assert_event(&operator, "SecretsRotated", "Deployment shop-notifier").await;

    let spec = with(spec, "/database/embedded/storage", json!("2Gi"));
    operator.apply(&spec).await.unwrap();
    operator.reconcile_until_ready().await;
    assert_event(&operator, "VolumeGrown", "PersistentVolumeClaim shop-postgres-data requests 2Gi; it requested 1Gi before").await;

    let autoscaling = json!({"minReplicas": 2, "maxReplicas": 5, "targetCPUUtilizationPercentage": 70});
    operator.apply(&with(spec.clone(), "/api", json!({"autoscaling": autoscaling}))).await.unwrap();
    operator.reconcile_until_ready().await;
    operator.apply(&spec).await.unwrap();
    operator.reconcile_until_ready().await;
    assert_event(&operator, "Pruned", "HorizontalPodAutoscaler shop-api was deleted").await;

    operator.apply(&with(spec, "/image/tag", json!("9.9.9"))).await.unwrap();
    operator.reconcile_until_ready().await;
    assert_event(&operator, "Upgraded", "All pods run 9.9.9; they ran ").await;

    operator.advance_clock(SignedDuration::from_hours(24 * 91));
    operator.reconcile().await;
    assert_event(&operator, "SigningKeyRotated", "Secret shop-signing-keys").await;
}

#[tokio::test]
async fn repeated_failures_publish_few_events() {
    let mut operator = Operator::new("flood").await;
    operator.apply(&minimal()).await.unwrap();
    operator.reconcile_until_ready().await;
    for _ in 0..30 {
        operator.controllers().mark_pods_unavailable("shop-api").await;
        operator.reconcile().await;
        operator.controllers().complete_all().await;
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

/// Returns the log lines with this message about this object.
fn lines(log: &[Value], message: &str, kind: &str, name: &str) -> Vec<Value> {
    let is = |line: &&Value| line["message"] == message && line["object_kind"] == kind && line["object_name"] == name;
    log.iter().filter(is).cloned().collect()
}

#[tokio::test]
async fn each_write_is_logged_once_with_documented_fields() {
    let server = ApiServer::start().await;
    let namespace = Namespace::new(&server, "logged").await;
    let environment = [("KUBECONFIG".to_owned(), server.kubeconfig().display().to_string()), ("LOG_FORMAT".to_owned(), "json".to_owned())];
    let operator =
        Process::of(&programs::catalog_operator(), &["run", "--ops-address", "127.0.0.1:0"], &environment.into(), "catalog-operator");
    let (controllers, deployments) = (FakeControllers::new(&namespace), namespace.api::<Deployment>());
    let autoscaling = json!({"autoscaling": {"minReplicas": 2, "maxReplicas": 5, "targetCPUUtilizationPercentage": 70}});
    namespace.apply(&catalog(&with(minimal(), "/api", autoscaling))).await.unwrap();
    let is_ready = async || {
        controllers.complete_all().await;
        let status = namespace.api::<Catalog>().get(NAME).await.unwrap().status.unwrap_or_default();
        check(status.conditions.iter().any(|one| one.type_ == "Ready" && one.status == "True"), || format!("{:?}", operator.log().lines()))
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
        check(created.len() == 2 && !patched.is_empty() && deleted.len() == 1, || format!("{created:?} {patched:?} {deleted:?}"))
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
