//! The status of a Catalog can be written, however large the spec is.

use catalog_operator::crd::Catalog;
use catalog_tests::control_plane::{
    Operator,
    operator::catalog,
    specs::{minimal, with},
};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::DeleteParams;
use serde_json::{Value, json};

/// Maximum size of a spec as JSON.
const MAX_BYTES: usize = 256 * 1024;

async fn apply(operator: &Operator, spec: &Value) -> Catalog {
    operator.namespace().apply(&catalog(spec)).await.unwrap().try_parse().unwrap()
}

/// Applies a Catalog that also has the largest annotations that the API server accepts. `kubectl apply` adds one with the spec.
async fn apply_with_annotations(operator: &Operator, spec: &Value) -> Catalog {
    let mut object = catalog(spec);
    object["metadata"]["annotations"] = json!({"example.com/last-applied": "\\".repeat(256 * 1024 - 100)});
    operator.namespace().apply(&object).await.unwrap().try_parse().unwrap()
}

/// Adds bytes to the spec until it has `bytes` as JSON.
async fn padded(operator: &Operator, spec: &Value, bytes: usize) -> Value {
    let pad = |length: usize| with(spec.clone(), "/tracker/annotations", json!({"example.com/note": "x".repeat(length)}));
    // The API server adds defaults to the spec.
    let without = size(&apply(operator, &pad(0)).await);
    pad(bytes - without)
}

fn size(catalog: &Catalog) -> usize {
    serde_json::to_string(&catalog.spec).unwrap().len()
}

/// Returns a spec whose JSON almost doubles in length as a string in the status.
fn escaped() -> Value {
    let env = |_| -> Value { (0..7).map(|number| json!({"name": format!("V{number}"), "value": "\\".repeat(4096)})).collect() };
    let roles = ["api", "notifier", "tracker", "fulfiller"];
    roles.iter().fold(minimal(), |spec, role| with(spec, &format!("/{role}/env"), env(role)))
}

/// Returns a list that the schema doesn't limit, with about this size as JSON.
fn affinity(bytes: usize) -> Value {
    let term = json!({"matchExpressions": [{"key": "example.com/pool", "operator": "In", "values": ["x".repeat(60)]}]});
    let terms: Value = (0..bytes / term.to_string().len()).map(|_| term.clone()).collect();
    json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}})
}

#[tokio::test]
async fn the_status_of_the_largest_spec_is_written() {
    let mut operator = Operator::new("largest").await;
    let spec = padded(&operator, &escaped(), MAX_BYTES).await;
    let applied = apply_with_annotations(&operator, &spec).await;
    assert_eq!(size(&applied), MAX_BYTES);
    operator.reconcile_until_ready().await;
    let live = operator.catalog().await.unwrap();
    let last = live.status.as_ref().unwrap().last_applied.clone().unwrap();
    assert_eq!(last.observed_generation, live.metadata.generation);
    let stored = serde_json::to_string(&live).unwrap().len();
    println!("a spec of {MAX_BYTES} bytes is a Catalog of {stored} bytes");
    assert!(stored < 1_300 * 1024, "etcd accepts 1.5 MiB, and the Catalog has {stored} bytes");
}

#[tokio::test]
async fn a_spec_that_is_too_large_is_reported_and_objects_are_restored_by_the_last_applied_one() {
    let mut operator = Operator::new("too-large").await;
    let largest = padded(&operator, &escaped(), MAX_BYTES).await;
    apply(&operator, &largest).await;
    operator.reconcile_until_ready().await;
    let before = operator.catalog().await.unwrap().status.unwrap().last_applied;
    apply(&operator, &with(largest.clone(), "/api/affinity", affinity(300 * 1024))).await;
    operator.reconcile_until_idle().await;
    operator.namespace().api::<Deployment>().delete("shop-api", &DeleteParams::background()).await.unwrap();
    operator.reconcile_until_idle().await;
    operator.namespace().api::<Deployment>().get("shop-api").await.unwrap();
    let ready = operator.condition("Ready").await;
    assert!(ready.is_true && ready.reason == "LastAppliedSpecServes", "{ready:?}");
    for kind in ["Complete", "Degraded"] {
        let condition = operator.condition(kind).await;
        assert_eq!(condition.reason, "InvalidValue", "{condition:?}");
        assert!(condition.message.contains("spec: has ") && condition.message.contains("at most 262144"), "{condition:?}");
    }
    assert_eq!(operator.catalog().await.unwrap().status.unwrap().last_applied, before);
    apply(&operator, &largest).await;
    operator.reconcile_until_ready().await;
}

#[tokio::test]
async fn a_new_catalog_with_a_spec_that_is_too_large_has_a_status() {
    let mut operator = Operator::new("new-too-large").await;
    apply(&operator, &with(minimal(), "/api/affinity", affinity(1000 * 1024))).await;
    operator.reconcile_until_idle().await;
    let condition = operator.condition("Ready").await;
    assert!(!condition.is_true && condition.message.contains("spec: has "), "{condition:?}");
    assert!(operator.namespace().all::<Deployment>().await.is_empty());
}
