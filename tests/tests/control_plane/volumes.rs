//! Edits that cannot be applied are reported and can be reverted; all other edits of the same spec are applied.

use catalog_operator::crd::Catalog;
use catalog_tests::control_plane::{
    Operator,
    admission::create_quota,
    operator::{NAME, ReconcileOutcome},
    specs::{full, minimal, with},
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::PersistentVolumeClaim, events::v1::Event};
use kube::{
    ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};

const CLAIM: &str = "shop-postgres-data";

async fn ready_operator(stem: &str, spec: &Value) -> Operator {
    let mut operator = Operator::new(stem).await;
    operator.apply(spec).await.unwrap();
    operator.reconcile_until_ready().await;
    operator
}

async fn claim(operator: &Operator) -> PersistentVolumeClaim {
    operator.namespace().api::<PersistentVolumeClaim>().get(CLAIM).await.unwrap()
}

async fn size(operator: &Operator) -> String {
    claim(operator).await.spec.unwrap().resources.unwrap().requests.unwrap()["storage"].0.clone()
}

async fn set_status(operator: &Operator, status: Value) {
    let claims = operator.namespace().api::<PersistentVolumeClaim>();
    claims.patch_status(CLAIM, &PatchParams::default(), &Patch::Merge(json!({"status": status}))).await.unwrap();
}

fn storage(size: &str) -> Value {
    with(full(), "/database/embedded/storage", json!(size))
}

/// Reconciles with success, and asserts that `Complete` is false with these parts in its message.
async fn assert_incomplete(operator: &mut Operator, parts: &[&str]) {
    assert!(matches!(operator.reconcile().await, ReconcileOutcome::Succeeded));
    let condition = operator.condition("Complete").await;
    assert!(!condition.is_true && parts.iter().all(|part| condition.message.contains(part)), "{condition:?}");
}

async fn assert_database_message(operator: &Operator, part: &str) {
    let condition = operator.condition("DatabaseReady").await;
    assert!(condition.message.contains(part), "{condition:?}");
}

#[tokio::test]
async fn a_pending_claim_is_reported_and_replaced_when_its_size_or_class_changes() {
    let mut operator = Operator::new("typo").await;
    let embedded = |size: &str, class: Option<&str>| {
        let sized = with(minimal(), "/database/embedded", json!({"storage": size}));
        with(sized, "/database/embedded/storageClassName", json!(class))
    };
    operator.apply(&embedded("60Gi", Some("fats"))).await.unwrap();
    operator.reconcile().await;
    let pending = claim(&operator).await;
    let warning = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "claim.1"}, "type": "Warning", "reason": "ProvisioningFailed",
        "message": "storageclass.storage.k8s.io \"fats\" not found",
        "involvedObject": {"kind": "PersistentVolumeClaim", "name": CLAIM, "namespace": operator.namespace().name(), "uid": pending.uid()},
    });
    operator.namespace().apply(&warning).await.unwrap();
    operator.reconcile().await;
    for (kind, holds) in [("DatabaseReady", false), ("Degraded", true), ("Ready", false)] {
        let condition = operator.condition(kind).await;
        let named = ["PersistentVolumeClaim shop-postgres-data (storage class fats, 60Gi)", "\"fats\" not found"];
        assert!(condition.is_true == holds && named.iter().all(|part| condition.message.contains(part)), "{kind}: {condition:?}");
    }
    // Without a class, the default class of the cluster applies.
    for (wanted, declared, class) in [("5Gi", Some("fast"), "fast"), ("4Gi", None, "standard")] {
        operator.apply(&embedded(wanted, declared)).await.unwrap();
        operator.reconcile().await;
        operator.controllers().collect_garbage().await;
        operator.reconcile().await;
        assert_eq!(size(&operator).await, wanted);
        assert_eq!(claim(&operator).await.spec.unwrap().storage_class_name.as_deref(), Some(class));
    }
    operator.reconcile_until_ready().await;
    assert!(!operator.condition("Degraded").await.is_true);
}

#[tokio::test]
async fn a_bound_claim_keeps_its_size_and_class_while_other_edits_are_applied() {
    let mut operator = ready_operator("bound", &full()).await;
    let uid = claim(&operator).await.uid();
    let smaller = with(with(storage("1Gi"), "/database/embedded/storageClassName", json!("fast")), "/api/replicas", json!(3));
    operator.apply(&smaller).await.unwrap();
    operator.reconcile_until_ready().await;
    let named = "PersistentVolumeClaim shop-postgres-data (storage class standard)";
    assert_incomplete(&mut operator, &[named, "cannot shrink: set at least 5Gi", "cannot change to fast: set standard"]).await;
    assert_database_message(&operator, "spec.database.embedded.storage: PersistentVolumeClaim shop-postgres-data").await;
    assert_eq!(operator.namespace().api::<Deployment>().get("shop-api").await.unwrap().spec.replicas, Some(3));
    assert_eq!((size(&operator).await.as_str(), claim(&operator).await.uid()), ("5Gi", uid));
    operator.apply(&full()).await.unwrap();
    operator.reconcile_until_ready().await;
    assert!(operator.condition("Complete").await.is_true);
}

#[tokio::test]
async fn a_rejected_volume_size_does_not_block_other_edits() {
    let mut operator = ready_operator("quota", &full()).await;
    create_quota(operator.namespace(), "disks", "requests.storage", "8Gi", "7Gi").await;
    operator.apply(&with(storage("60Gi"), "/api/replicas", json!(3))).await.unwrap();
    assert_incomplete(&mut operator, &["PersistentVolumeClaim shop-postgres-data (storage class standard)", "exceeded quota: disks"]).await;
    assert_eq!(operator.namespace().api::<Deployment>().get("shop-api").await.unwrap().spec.replicas, Some(3));
    operator.apply(&full()).await.unwrap();
    operator.reconcile_until_ready().await;
    assert!(operator.condition("Complete").await.is_true);
}

#[tokio::test]
async fn the_size_of_a_volume_that_cannot_grow_can_be_reduced_to_its_capacity() {
    let mut operator = ready_operator("no-growth", &full()).await;
    operator.apply(&storage("60Gi")).await.unwrap();
    operator.reconcile().await;
    assert_eq!(size(&operator).await, "60Gi");
    let failed = json!({"type": "ControllerResizeError", "status": "True", "message": "no space left in the pool"});
    set_status(&operator, json!({"capacity": {"storage": "5Gi"}, "conditions": [failed]})).await;
    assert_incomplete(&mut operator, &["(storage class standard) has 5Gi and does not grow to 60Gi: no space left in the pool"]).await;
    assert_database_message(&operator, "does not grow to 60Gi: no space left in the pool").await;
    operator.apply(&storage("7Gi")).await.unwrap();
    operator.reconcile().await;
    assert_eq!(size(&operator).await, "7Gi");
    operator.apply(&full()).await.unwrap();
    operator.reconcile().await;
    assert!(operator.condition("Complete").await.is_true, "the volume has the declared size");
    operator.reconcile_until_ready().await;
}

#[tokio::test]
async fn a_lost_volume_of_nats_is_replaced_and_reported() {
    let mut operator = ready_operator("nats-lost", &full()).await;
    let condition = operator.condition("MessagingReady").await;
    assert!(!condition.message.contains("replaced"), "{condition:?}");
    let claims = operator.namespace().api::<PersistentVolumeClaim>();
    claims.delete("shop-nats-data", &DeleteParams::default()).await.unwrap();
    operator.reconcile().await;
    let condition = operator.condition("Degraded").await;
    assert!(condition.is_true && condition.reason == "ClaimTerminating", "the pod still uses the claim: {condition:?}");
    operator.controllers().collect_garbage().await;
    operator.reconcile_until_ready().await;
    let condition = operator.condition("MessagingReady").await;
    let lost = "uncounted views and dead-lettered messages are lost";
    assert!(condition.message.contains("its volume was replaced at 20") && condition.message.contains(lost), "{condition:?}");
    let events = operator.namespace().all::<Event>().await;
    let reported: Vec<_> = events.iter().filter(|event| event.reason.as_deref() == Some("MessagingVolumeReplaced")).collect();
    assert!(reported.len() == 1 && reported[0].note.iter().any(|note| note.contains(lost)), "{reported:?}");
}

#[tokio::test]
async fn the_currency_can_be_changed_until_the_shop_is_applied_and_by_a_new_catalog_afterwards() {
    let mut operator = Operator::new("currency").await;
    let in_dollars = with(minimal(), "/currency", json!("USD"));
    operator.apply(&minimal()).await.unwrap();
    operator.reconcile().await;
    operator.apply(&in_dollars).await.unwrap();
    operator.reconcile_until_ready().await;
    let rejected = operator.apply(&minimal()).await.unwrap_err().to_string();
    assert!(rejected.contains("create another Catalog for another currency"), "{rejected}");
    operator.namespace().api::<Catalog>().delete(NAME, &DeleteParams::default()).await.unwrap();
    operator.controllers().collect_garbage().await;
    operator.apply(&minimal()).await.unwrap();
    operator.reconcile_until_ready().await;
}
