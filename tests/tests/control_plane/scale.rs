//! The number of pods: what is declared holds, whoever scales.

use catalog_tests::control_plane::{
    Operator,
    specs::{full, minimal, with},
};
use k8s_openapi::api::{apps::v1::Deployment, autoscaling::v2::HorizontalPodAutoscaler, events::v1::Event};
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

/// `kubectl scale`.
async fn scale(operator: &Operator, name: &str, replicas: i32) {
    let asked = PatchParams { field_manager: Some("kubectl".into()), ..PatchParams::default() };
    let scale = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    operator.namespace().api::<Deployment>().patch_scale(name, &asked, &scale).await.unwrap();
}

/// Managers that `managedFields` names for `spec.replicas`.
async fn managers_of_replicas(operator: &Operator, name: &str) -> Vec<String> {
    let deployment = operator.namespace().api::<Deployment>().get(name).await.unwrap();
    let entries = deployment.metadata.managed_fields.unwrap_or_default().into_iter();
    let entries = entries.filter(|entry| entry.fields_v1.as_ref().is_some_and(|fields| fields.0["f:spec"].get("f:replicas").is_some()));
    entries.filter_map(|entry| entry.manager).collect()
}

#[tokio::test]
async fn an_autoscaled_api_that_was_scaled_to_zero_is_back_at_its_minimum_after_one_reconcile() {
    let mut operator = Operator::new("to-zero").await;
    operator.apply(&by_cpu(3)).await.unwrap();
    operator.settle().await;
    scale(&operator, "shop-api", 0).await;
    operator.reconcile().await;
    assert_eq!(replicas(&operator, "shop-api").await, Some(3));
    let events = Api::<Event>::namespaced(operator.namespace().client().clone(), operator.namespace().name());
    let events = events.list(&ListParams::default()).await.unwrap().items;
    let notes: Vec<_> =
        events.into_iter().filter(|event| event.reason.as_deref() == Some("FieldsOverridden")).map(|event| event.note).collect();
    assert!(notes.iter().flatten().any(|note| note.contains("Deployment shop-api") && note.contains("scale subresource")), "{notes:?}");
    operator.controllers().lose_all_pods_of("shop-api").await;
    operator.reconcile().await;
    let said = operator.condition("Degraded").await;
    assert!(said.holds && said.reason == "ScaledBelowMinimum" && said.message.contains("Deployment shop-api: a client of"), "{said:?}");
    operator.settle().await;
    assert!(!operator.condition("Degraded").await.holds);
}

#[tokio::test]
async fn an_autoscaled_api_is_back_at_its_minimum_while_a_migration_waits() {
    let mut operator = Operator::new("zero-migrating").await;
    operator.apply(&by_cpu(3)).await.unwrap();
    operator.settle().await;
    operator.apply(&with(by_cpu(3), "/image/tag", json!("9.9.9"))).await.unwrap();
    operator.reconcile().await;
    scale(&operator, "shop-api", 0).await;
    operator.reconcile().await;
    assert!(!operator.condition("Migrated").await.holds);
    assert_eq!(replicas(&operator, "shop-api").await, Some(3));
    operator.settle().await;
}

#[tokio::test]
async fn an_autoscaler_still_scales_what_the_operator_raised() {
    let mut operator = Operator::new("raised").await;
    operator.apply(&by_cpu(2)).await.unwrap();
    operator.settle().await;
    scale(&operator, "shop-api", 1).await;
    operator.settle().await;
    assert_eq!(replicas(&operator, "shop-api").await, Some(2));
    assert_eq!(managers_of_replicas(&operator, "shop-api").await, ["catalog-operator-handover"]);
    operator.controllers().scale("shop-api", 6).await;
    operator.settle().await;
    assert_eq!(replicas(&operator, "shop-api").await, Some(6));
    assert_eq!(managers_of_replicas(&operator, "shop-api").await, ["fake-controllers"], "the operator gave the field back");
    operator.apply(&with(by_cpu(2), "/image/tag", json!("9.9.9"))).await.unwrap();
    operator.settle().await;
    assert_eq!(replicas(&operator, "shop-api").await, Some(6), "a rollout keeps the autoscaler's number");
}

#[tokio::test]
async fn a_new_api_starts_with_its_minimum() {
    let mut operator = Operator::new("new-minimum").await;
    operator.apply(&by_cpu(4)).await.unwrap();
    operator.reconcile().await;
    operator.controllers().everything_goes_well().await;
    operator.reconcile().await;
    assert_eq!(replicas(&operator, "shop-api").await, Some(4));
    let created = operator.namespace().api::<HorizontalPodAutoscaler>().get("shop-api").await.unwrap();
    assert_eq!(created.spec.min_replicas, Some(4));
}

#[tokio::test]
async fn an_api_without_pods_gets_its_minimum_before_its_autoscaler_which_would_leave_it_alone() {
    let mut operator = Operator::new("from-zero").await;
    operator.apply(&with(minimal(), "/api", json!({"replicas": 0}))).await.unwrap();
    operator.settle().await;
    let said = operator.condition("ApiAvailable").await;
    assert!(said.holds && said.reason == "ScaledToZero", "{said:?}");
    operator.apply(&by_cpu(2)).await.unwrap();
    operator.settle().await;
    assert_eq!(replicas(&operator, "shop-api").await, Some(2));
}

#[tokio::test]
async fn a_scale_to_zero_that_is_not_declared_is_not_reported_as_available() {
    let mut operator = Operator::new("zero-said").await;
    operator.apply(&by_cpu(2)).await.unwrap();
    operator.settle().await;
    // A paused Catalog isn't healed, and its status is still true.
    operator.apply(&with(by_cpu(2), "/paused", json!(true))).await.unwrap();
    scale(&operator, "shop-api", 0).await;
    operator.reconcile().await;
    let said = operator.condition("ApiAvailable").await;
    assert!(!said.holds && said.reason == "NoReplicas" && said.message.contains("Deployment shop-api"), "{said:?}");
    assert!(!operator.condition("Ready").await.holds);
}

#[tokio::test]
async fn a_worker_whose_minimum_is_zero_may_have_no_pods_and_one_whose_minimum_is_more_may_not() {
    let mut operator = Operator::new("worker-zero").await;
    operator.apply(&full()).await.unwrap();
    operator.settle().await;
    for worker in ["shop-notifier", "shop-tracker"] {
        operator.controllers().scale(worker, 0).await;
    }
    operator.settle().await;
    assert_eq!(replicas(&operator, "shop-notifier").await, Some(0));
    assert_eq!(operator.condition("NotifierAvailable").await.reason, "ScaledToZero");
    assert_eq!(replicas(&operator, "shop-tracker").await, Some(1));
    assert_eq!(operator.condition("TrackerAvailable").await.reason, "Available");
}
