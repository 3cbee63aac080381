//! Declared replicas and autoscaling bounds hold when another client scales a Deployment.

use catalog_tests::control_plane::{
    Operator,
    specs::{full, minimal, with},
};
use k8s_openapi::{
    api::{apps::v1::Deployment, autoscaling::v2::HorizontalPodAutoscaler, events::v1::Event},
    jiff::SignedDuration,
};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

async fn replicas(operator: &Operator, name: &str) -> Option<i32> {
    operator.namespace().api::<Deployment>().get(name).await.unwrap().spec.replicas
}

fn by_cpu(min: i32) -> Value {
    with(minimal(), "/api", json!({"autoscaling": {"minReplicas": min, "maxReplicas": 9, "targetCPUUtilizationPercentage": 70}}))
}

/// Scales a Deployment as `kubectl scale` does.
async fn scale(operator: &Operator, name: &str, replicas: i32) {
    let params = PatchParams { field_manager: Some("kubectl".into()), ..PatchParams::default() };
    let scale = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    operator.namespace().api::<Deployment>().patch_scale(name, &params, &scale).await.unwrap();
}

/// Returns the field managers of `spec.replicas`.
async fn managers_of_replicas(operator: &Operator, name: &str) -> Vec<String> {
    let deployment = operator.namespace().api::<Deployment>().get(name).await.unwrap();
    let entries = deployment.metadata.managed_fields.unwrap_or_default().into_iter();
    let entries = entries.filter(|entry| entry.fields_v1.as_ref().is_some_and(|fields| fields.0["f:spec"].get("f:replicas").is_some()));
    entries.filter_map(|entry| entry.manager).collect()
}

#[tokio::test]
async fn one_reconcile_raises_an_autoscaled_api_from_zero_to_its_minimum() {
    let mut operator = Operator::new("to-zero").await;
    operator.apply(&by_cpu(3)).await.unwrap();
    operator.reconcile_until_ready().await;
    scale(&operator, "shop-api", 0).await;
    operator.reconcile().await;
    assert_eq!(replicas(&operator, "shop-api").await, Some(3));
    let events = Api::<Event>::namespaced(operator.namespace().client().clone(), operator.namespace().name());
    let events = events.list(&ListParams::default()).await.unwrap().items;
    let notes: Vec<_> =
        events.into_iter().filter(|event| event.reason.as_deref() == Some("FieldsOverridden")).map(|event| event.note).collect();
    assert!(notes.iter().flatten().any(|note| note.contains("Deployment shop-api") && note.contains("scale subresource")), "{notes:?}");
    operator.controllers().mark_pods_unavailable("shop-api").await;
    operator.reconcile().await;
    let condition = operator.condition("Degraded").await;
    assert!(
        condition.is_true && condition.reason == "ScaledBelowMinimum" && condition.message.contains("Deployment shop-api: a client of"),
        "{condition:?}"
    );
    operator.reconcile_until_ready().await;
    assert!(!operator.condition("Degraded").await.is_true);
}

#[tokio::test]
async fn an_autoscaled_api_is_raised_to_its_minimum_while_a_migration_is_pending() {
    let mut operator = Operator::new("zero-migrating").await;
    operator.apply(&by_cpu(3)).await.unwrap();
    operator.reconcile_until_ready().await;
    operator.apply(&with(by_cpu(3), "/image/tag", json!("9.9.9"))).await.unwrap();
    operator.reconcile().await;
    scale(&operator, "shop-api", 0).await;
    operator.reconcile().await;
    assert!(!operator.condition("Migrated").await.is_true);
    assert_eq!(replicas(&operator, "shop-api").await, Some(3));
    operator.reconcile_until_ready().await;
}

#[tokio::test]
async fn an_autoscaler_can_scale_a_deployment_that_the_operator_raised() {
    let mut operator = Operator::new("raised").await;
    operator.apply(&by_cpu(2)).await.unwrap();
    operator.reconcile_until_ready().await;
    scale(&operator, "shop-api", 1).await;
    operator.reconcile_until_ready().await;
    assert_eq!(replicas(&operator, "shop-api").await, Some(2));
    assert_eq!(managers_of_replicas(&operator, "shop-api").await, ["catalog-operator-handover"]);
    operator.controllers().scale("shop-api", 6).await;
    operator.reconcile_until_ready().await;
    assert_eq!(replicas(&operator, "shop-api").await, Some(6));
    assert_eq!(managers_of_replicas(&operator, "shop-api").await, ["fake-controllers"], "the operator no longer manages the field");
    operator.apply(&with(by_cpu(2), "/image/tag", json!("9.9.9"))).await.unwrap();
    operator.reconcile_until_ready().await;
    assert_eq!(replicas(&operator, "shop-api").await, Some(6), "a rollout keeps the autoscaler's number");
}

#[tokio::test]
async fn a_new_autoscaled_api_starts_with_its_minimum() {
    let mut operator = Operator::new("new-minimum").await;
    operator.apply(&by_cpu(4)).await.unwrap();
    operator.reconcile().await;
    operator.controllers().complete_all().await;
    operator.reconcile().await;
    assert_eq!(replicas(&operator, "shop-api").await, Some(4));
    let created = operator.namespace().api::<HorizontalPodAutoscaler>().get("shop-api").await.unwrap();
    assert_eq!(created.spec.min_replicas, Some(4));
}

#[tokio::test]
async fn enabling_autoscaling_raises_an_api_from_zero_to_its_minimum() {
    let mut operator = Operator::new("from-zero").await;
    operator.apply(&with(minimal(), "/api", json!({"replicas": 0}))).await.unwrap();
    operator.reconcile_until_ready().await;
    let condition = operator.condition("ApiAvailable").await;
    assert!(condition.is_true && condition.reason == "ScaledToZero", "{condition:?}");
    operator.apply(&by_cpu(2)).await.unwrap();
    operator.reconcile_until_ready().await;
    assert_eq!(replicas(&operator, "shop-api").await, Some(2));
}

#[tokio::test]
async fn an_undeclared_scale_to_zero_is_not_reported_as_available() {
    let mut operator = Operator::new("undeclared-zero").await;
    operator.apply(&by_cpu(2)).await.unwrap();
    operator.reconcile_until_ready().await;
    // The operator does not restore a paused Catalog, but updates its status.
    operator.apply(&with(by_cpu(2), "/paused", json!(true))).await.unwrap();
    scale(&operator, "shop-api", 0).await;
    operator.reconcile().await;
    let condition = operator.condition("ApiAvailable").await;
    assert!(!condition.is_true && condition.reason == "NoReplicas" && condition.message.contains("Deployment shop-api"), "{condition:?}");
    assert!(!operator.condition("Ready").await.is_true);
}

#[tokio::test]
async fn only_workers_with_a_minimum_of_zero_can_be_scaled_to_zero() {
    let mut operator = Operator::new("worker-zero").await;
    operator.apply(&full()).await.unwrap();
    operator.reconcile_until_ready().await;
    for worker in ["shop-notifier", "shop-tracker"] {
        operator.controllers().scale(worker, 0).await;
    }
    operator.reconcile_until_ready().await;
    assert_eq!(replicas(&operator, "shop-notifier").await, Some(0));
    assert_eq!(operator.condition("NotifierAvailable").await.reason, "ScaledToZero");
    assert_eq!(replicas(&operator, "shop-tracker").await, Some(1));
    assert_eq!(operator.condition("TrackerAvailable").await.reason, "Available");
}

#[tokio::test]
async fn pods_that_start_after_a_scale_from_zero_degrade_the_catalog_only_if_they_take_more_than_a_minute() {
    let mut operator = Operator::new("starting").await;
    operator.apply(&with(minimal(), "/api", json!({"replicas": 0}))).await.unwrap();
    operator.reconcile_until_ready().await;
    operator.apply(&with(minimal(), "/api", json!({"replicas": 2}))).await.unwrap();
    for _ in 0..2 {
        operator.reconcile().await;
        let [api, ready, degraded] =
            [operator.condition("ApiAvailable").await, operator.condition("Ready").await, operator.condition("Degraded").await];
        assert!(!api.is_true && api.reason == "ScalingUp" && api.message.starts_with("0 of 2 pods are available"), "{api:?}");
        assert!(!ready.is_true && !degraded.is_true, "{ready:?} {degraded:?}");
    }
    operator.advance_clock(SignedDuration::from_secs(61));
    operator.reconcile().await;
    let degraded = operator.condition("Degraded").await;
    assert!(degraded.is_true && degraded.reason == "Unavailable", "{degraded:?}");
    operator.reconcile_until_ready().await;
    assert!(!operator.condition("Degraded").await.is_true);
}
