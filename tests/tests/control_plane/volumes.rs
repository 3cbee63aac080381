//! No dead ends: what cannot be changed is reported, the rest is applied, and there is a way back.

use catalog_operator::crd::Catalog;
use catalog_tests::control_plane::{
    Operator,
    operator::{Ended, NAME},
    specs::{full, minimal, with},
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::PersistentVolumeClaim, events::v1::Event};
use kube::{
    ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};

const CLAIM: &str = "shop-postgres-data";

async fn settled(stem: &str, spec: &Value) -> Operator {
    let mut operator = Operator::new(stem).await;
    operator.apply(spec).await.unwrap();
    operator.settle().await;
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

/// The reason why not all is as declared is in the condition `Complete`, and nothing else waits for it.
async fn is_incomplete(operator: &mut Operator, says: &[&str]) {
    assert!(matches!(operator.reconcile().await, Ended::Well));
    let said = operator.condition("Complete").await;
    assert!(!said.holds && says.iter().all(|part| said.message.contains(part)), "{said:?}");
}

/// The condition of the database has it as well.
async fn database_says(operator: &Operator, part: &str) {
    let said = operator.condition("DatabaseReady").await;
    assert!(said.message.contains(part), "{said:?}");
}

#[tokio::test]
async fn a_claim_without_a_volume_is_reported_and_takes_another_size_and_class() {
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
        let said = operator.condition(kind).await;
        let named = ["PersistentVolumeClaim shop-postgres-data (storage class fats, 60Gi)", "\"fats\" not found"];
        assert!(said.holds == holds && named.iter().all(|part| said.message.contains(part)), "{kind}: {said:?}");
    }
    // Without a class the cluster's default is taken.
    for (wanted, declared, class) in [("5Gi", Some("fast"), "fast"), ("4Gi", None, "standard")] {
        operator.apply(&embedded(wanted, declared)).await.unwrap();
        operator.reconcile().await;
        operator.controllers().collect_garbage().await;
        operator.reconcile().await;
        assert_eq!(size(&operator).await, wanted);
        assert_eq!(claim(&operator).await.spec.unwrap().storage_class_name.as_deref(), Some(class));
    }
    operator.settle().await;
    assert!(!operator.condition("Degraded").await.holds);
}

#[tokio::test]
async fn a_bound_volume_keeps_size_and_class_and_other_edits_are_applied() {
    let mut operator = settled("bound", &full()).await;
    let uid = claim(&operator).await.uid();
    let smaller = with(with(storage("1Gi"), "/database/embedded/storageClassName", json!("fast")), "/api/replicas", json!(3));
    operator.apply(&smaller).await.unwrap();
    operator.settle().await;
    let named = "PersistentVolumeClaim shop-postgres-data (storage class standard)";
    is_incomplete(&mut operator, &[named, "cannot shrink: set at least 5Gi", "cannot change to fast: set standard"]).await;
    database_says(&operator, "spec.database.embedded.storage: PersistentVolumeClaim shop-postgres-data").await;
    assert_eq!(operator.namespace().api::<Deployment>().get("shop-api").await.unwrap().spec.replicas, Some(3));
    assert_eq!((size(&operator).await.as_str(), claim(&operator).await.uid()), ("5Gi", uid));
    operator.apply(&full()).await.unwrap();
    operator.settle().await;
    assert!(operator.condition("Complete").await.holds);
}

#[tokio::test]
async fn a_size_that_the_api_server_rejects_holds_nothing_else_back() {
    let mut operator = settled("quota", &full()).await;
    let hard = json!({"requests.storage": "8Gi"});
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "disks"}, "spec": {"hard": hard}});
    operator.namespace().apply(&quota).await.unwrap();
    let quotas = operator.namespace().api::<k8s_openapi::api::core::v1::ResourceQuota>();
    let status = json!({"status": {"hard": hard, "used": {"requests.storage": "7Gi"}}});
    quotas.patch_status("disks", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    operator.apply(&with(storage("60Gi"), "/api/replicas", json!(3))).await.unwrap();
    is_incomplete(&mut operator, &["PersistentVolumeClaim shop-postgres-data (storage class standard)", "exceeded quota: disks"]).await;
    assert_eq!(operator.namespace().api::<Deployment>().get("shop-api").await.unwrap().spec.replicas, Some(3));
    operator.apply(&full()).await.unwrap();
    operator.settle().await;
    assert!(operator.condition("Complete").await.holds);
}

#[tokio::test]
async fn a_volume_that_does_not_grow_can_have_a_smaller_size_or_the_one_that_it_has() {
    let mut operator = settled("no-growth", &full()).await;
    operator.apply(&storage("60Gi")).await.unwrap();
    operator.reconcile().await;
    assert_eq!(size(&operator).await, "60Gi");
    let failed = json!({"type": "ControllerResizeError", "status": "True", "message": "no space left in the pool"});
    set_status(&operator, json!({"capacity": {"storage": "5Gi"}, "conditions": [failed]})).await;
    is_incomplete(&mut operator, &["(storage class standard) has 5Gi and does not grow to 60Gi: no space left in the pool"]).await;
    database_says(&operator, "does not grow to 60Gi: no space left in the pool").await;
    operator.apply(&storage("7Gi")).await.unwrap();
    operator.reconcile().await;
    assert_eq!(size(&operator).await, "7Gi");
    operator.apply(&full()).await.unwrap();
    operator.reconcile().await;
    assert!(operator.condition("Complete").await.holds, "the volume has what is declared");
    operator.settle().await;
}

#[tokio::test]
async fn a_lost_volume_of_nats_is_replaced_and_reported() {
    let mut operator = settled("nats-lost", &full()).await;
    let said = operator.condition("MessagingReady").await;
    assert!(!said.message.contains("replaced"), "{said:?}");
    let claims = operator.namespace().api::<PersistentVolumeClaim>();
    claims.delete("shop-nats-data", &DeleteParams::default()).await.unwrap();
    operator.reconcile().await;
    let said = operator.condition("Degraded").await;
    assert!(said.holds && said.reason == "ClaimTerminating", "its pod still has it: {said:?}");
    operator.controllers().collect_garbage().await;
    operator.settle().await;
    let said = operator.condition("MessagingReady").await;
    let lost = "uncounted views and dead-lettered messages are lost";
    assert!(said.message.contains("its volume was replaced at 20") && said.message.contains(lost), "{said:?}");
    let events = operator.namespace().all::<Event>().await;
    let reported: Vec<_> = events.iter().filter(|event| event.reason.as_deref() == Some("MessagingVolumeReplaced")).collect();
    assert!(reported.len() == 1 && reported[0].note.iter().any(|note| note.contains(lost)), "{reported:?}");
}

#[tokio::test]
async fn a_currency_can_be_corrected_until_the_shop_was_applied_and_by_another_catalog_afterwards() {
    let mut operator = Operator::new("currency").await;
    let in_dollars = with(minimal(), "/currency", json!("USD"));
    operator.apply(&minimal()).await.unwrap();
    operator.reconcile().await;
    operator.apply(&in_dollars).await.unwrap();
    operator.settle().await;
    let refused = operator.apply(&minimal()).await.unwrap_err().to_string();
    assert!(refused.contains("make another Catalog for another currency"), "{refused}");
    operator.namespace().api::<Catalog>().delete(NAME, &DeleteParams::default()).await.unwrap();
    operator.controllers().collect_garbage().await;
    operator.apply(&minimal()).await.unwrap();
    operator.settle().await;
}
