//! `deletionPolicy` decides whether data volumes and generated Secrets are deleted with a Catalog. Edits never delete them.

use std::collections::BTreeMap;

use catalog_operator::crd::Catalog;
use catalog_tests::control_plane::{
    Operator,
    data_objects::data_objects,
    operator::NAME,
    snapshot,
    specs::{full, with},
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::{
    ResourceExt,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};

async fn ready_operator(stem: &str, spec: &Value) -> Operator {
    let mut operator = Operator::new(stem).await;
    operator.apply(spec).await.unwrap();
    operator.reconcile_until_ready().await;
    operator
}

async fn delete_the_catalog(operator: &Operator) {
    operator.namespace().api::<Catalog>().delete(NAME, &DeleteParams::default()).await.unwrap();
    operator.controllers().collect_garbage().await;
}

/// Lists the remaining objects of the operator as `Kind name`.
async fn remaining(operator: &Operator) -> Vec<String> {
    let objects = snapshot::objects(operator.namespace()).await.into_iter();
    let operators = objects.filter(|object| object.labels().contains_key("app.kubernetes.io/managed-by"));
    let mut remaining: Vec<_> = operators.map(|object| format!("{} {}", object.types.as_ref().unwrap().kind, object.name_any())).collect();
    remaining.sort();
    remaining
}

/// Whether Argo CD would prune an object or delete it with the Application. It does so with objects without an owner that have its
/// tracking label or annotation, unless their sync options forbid it.
fn is_deleted_by_argo_cd(object: &DynamicObject) -> bool {
    let annotations = object.annotations();
    let is_tracked =
        object.labels().contains_key("app.kubernetes.io/instance") || annotations.contains_key("argocd.argoproj.io/tracking-id");
    let options = annotations.get("argocd.argoproj.io/sync-options").map_or("", String::as_str);
    let options: Vec<_> = options.split(',').map(str::trim).collect();
    is_tracked && object.owner_references().is_empty() && !(options.contains(&"Prune=false") && options.contains(&"Delete=false"))
}

#[tokio::test]
async fn the_catalog_owns_all_objects_except_data() {
    let operator = ready_operator("owned", &full()).await;
    let uid = operator.catalog().await.unwrap().uid().unwrap();
    for object in snapshot::objects(operator.namespace()).await {
        let is_the_operators = object.labels().get("app.kubernetes.io/managed-by").is_some_and(|by| by == "catalog-operator");
        let kind = object.types.as_ref().unwrap().kind.clone();
        if !is_the_operators {
            continue;
        }
        let owners = object.owner_references();
        if kind == "Secret" || kind == "PersistentVolumeClaim" {
            assert!(owners.is_empty(), "{kind} {} would be deleted with the Catalog", object.name_any());
            assert!(!is_deleted_by_argo_cd(&object), "{kind} {} would be deleted by an Application named {NAME}", object.name_any());
        } else {
            assert_eq!(owners.len(), 1, "{kind} {}", object.name_any());
            assert_eq!((owners[0].uid.as_str(), owners[0].controller), (uid.as_str(), Some(true)), "{kind} {}", object.name_any());
        }
    }
}

/// Counts the objects whose sync options forbid Argo CD to delete them.
async fn protected_from_argo_cd(operator: &Operator) -> usize {
    let objects = snapshot::objects(operator.namespace()).await;
    objects.iter().filter(|object| object.annotations().contains_key("argocd.argoproj.io/sync-options")).count()
}

#[tokio::test]
async fn the_tracking_metadata_of_argo_cd_is_not_copied_to_other_objects() {
    let mut operator = ready_operator("tracked", &full()).await;
    let tracked = json!({"metadata": {
        "labels": {"app.kubernetes.io/instance": "application"},
        "annotations": {"argocd.argoproj.io/tracking-id": format!("application:catalog.rs/Catalog:{}/{NAME}", operator.namespace().name())},
    }});
    operator.namespace().api::<Catalog>().patch(NAME, &PatchParams::default(), &Patch::Merge(tracked)).await.unwrap();
    operator.reconcile_until_ready().await;
    for object in snapshot::objects(operator.namespace()).await {
        if object.labels().contains_key("app.kubernetes.io/managed-by") {
            assert_eq!(object.labels()["app.kubernetes.io/instance"], NAME, "{}", object.name_any());
            assert!(!object.annotations().contains_key("argocd.argoproj.io/tracking-id"), "{}", object.name_any());
        }
    }
}

#[tokio::test]
async fn the_next_catalog_of_the_same_name_uses_retained_data() {
    let mut operator = ready_operator("retained", &full()).await;
    let before = data_objects(operator.namespace()).await;
    assert_eq!(before.len(), 6, "{:?}", before.keys());
    delete_the_catalog(&operator).await;
    assert_eq!(remaining(&operator).await, before.keys().cloned().collect::<Vec<_>>());
    operator.apply(&full()).await.unwrap();
    operator.reconcile_until_ready().await;
    assert_eq!(data_objects(operator.namespace()).await, before);
}

#[tokio::test]
async fn the_policy_delete_deletes_data_with_the_catalog() {
    let operator = ready_operator("deleted-all", &with(full(), "/deletionPolicy", json!("Delete"))).await;
    assert!(!data_objects(operator.namespace()).await.is_empty());
    delete_the_catalog(&operator).await;
    assert_eq!(remaining(&operator).await, Vec::<String>::new());
}

#[tokio::test]
async fn the_policy_at_the_time_of_the_deletion_applies() {
    let mut operator = ready_operator("policy", &with(full(), "/deletionPolicy", json!("Delete"))).await;
    let before = data_objects(operator.namespace()).await;
    operator.apply(&full()).await.unwrap();
    operator.reconcile_until_ready().await;
    assert_eq!(protected_from_argo_cd(&operator).await, before.len());
    delete_the_catalog(&operator).await;
    assert_eq!(data_objects(operator.namespace()).await, before);
}

#[tokio::test]
async fn the_policy_applies_to_unused_data_as_well() {
    let mut operator = ready_operator("orphaned", &with(full(), "/deletionPolicy", json!("Delete"))).await;
    let before = data_objects(operator.namespace()).await;
    let external = with(full(), "/database", json!({"external": {"secretRef": {"name": "database"}}}));
    assert_eq!(protected_from_argo_cd(&operator).await, 0, "owned objects need no protection");
    operator.apply(&external).await.unwrap();
    operator.reconcile_until_ready().await;
    assert_eq!(protected_from_argo_cd(&operator).await, before.len());
    delete_the_catalog(&operator).await;
    assert_eq!(data_objects(operator.namespace()).await, before);
}

#[tokio::test]
async fn data_that_is_owned_again_loses_its_protection_from_argo_cd() {
    let embedded = with(full(), "/deletionPolicy", json!("Delete"));
    let external = json!({"external": {"url": "nats://nats.example.com:4222", "monitoringEndpoint": "nats.example.com:8222"}});
    let mut operator = ready_operator("reused", &embedded).await;
    operator.apply(&with(full(), "/messaging", external)).await.unwrap();
    operator.reconcile_until_ready().await;
    assert!(protected_from_argo_cd(&operator).await > 0);
    operator.apply(&embedded).await.unwrap();
    operator.reconcile_until_ready().await;
    assert_eq!(protected_from_argo_cd(&operator).await, 0);
}

#[tokio::test]
async fn a_retained_volume_is_used_without_declaring_its_storage_class_again() {
    let classed = with(full(), "/database/embedded/storageClassName", json!("standard"));
    let mut operator = ready_operator("classed", &classed).await;
    let before = data_objects(operator.namespace()).await;
    delete_the_catalog(&operator).await;
    operator.apply(&full()).await.unwrap();
    operator.reconcile_until_ready().await;
    assert_eq!(data_objects(operator.namespace()).await, before);
}

#[tokio::test]
async fn an_emptied_secret_of_signing_keys_gets_a_new_key() {
    let mut operator = ready_operator("no-keys", &full()).await;
    let secrets = operator.namespace().api::<Secret>();
    let emptied = json!({"data": null});
    secrets.patch("shop-signing-keys", &PatchParams::default(), &Patch::Merge(&emptied)).await.unwrap();
    operator.reconcile_until_ready().await;
    assert_eq!(secrets.get("shop-signing-keys").await.unwrap().data.unwrap().len(), 1);
}

#[tokio::test]
async fn growing_a_volume_keeps_its_claim() {
    let mut operator = ready_operator("grown", &full()).await;
    let before = data_objects(operator.namespace()).await;
    operator.apply(&with(full(), "/database/embedded/storage", json!("9Gi"))).await.unwrap();
    operator.reconcile_until_ready().await;
    assert_eq!(data_objects(operator.namespace()).await, before);
    let claim = operator.namespace().api::<PersistentVolumeClaim>().get("shop-postgres-data").await.unwrap();
    assert_eq!(claim.spec.unwrap().resources.unwrap().requests.unwrap()["storage"].0, "9Gi");
}

#[tokio::test]
async fn edits_of_generated_secrets_are_kept() {
    let mut operator = ready_operator("edited-secret", &full()).await;
    operator.write_secret("shop-superuser", &[("password", "chosen by a user")]).await;
    operator.reconcile_until_ready().await;
    let secret = operator.namespace().api::<Secret>().get("shop-superuser").await.unwrap();
    let data: BTreeMap<_, _> = secret.data.unwrap().into_iter().map(|(key, value)| (key, String::from_utf8(value.0).unwrap())).collect();
    assert_eq!(data["password"], "chosen by a user");
}
