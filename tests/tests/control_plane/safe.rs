//! Safe: data volumes and generated Secrets outlive what people do, as far as `deletionPolicy` says.

use std::collections::BTreeMap;

use catalog_operator::crd::Catalog;
use catalog_tests::control_plane::{
    Operator,
    kept::kept,
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

async fn settled(stem: &str, spec: &Value) -> Operator {
    let mut operator = Operator::new(stem).await;
    operator.apply(spec).await.unwrap();
    operator.settle().await;
    operator
}

async fn delete_the_catalog(operator: &Operator) {
    operator.namespace().api::<Catalog>().delete(NAME, &DeleteParams::default()).await.unwrap();
    operator.controllers().collect_garbage().await;
}

/// What is there, without what the suite wrote itself, as `Kind name`.
async fn left(operator: &Operator) -> Vec<String> {
    let objects = snapshot::objects(operator.namespace()).await.into_iter();
    let operators = objects.filter(|object| object.labels().contains_key("app.kubernetes.io/managed-by"));
    let mut left: Vec<_> = operators.map(|object| format!("{} {}", object.types.as_ref().unwrap().kind, object.name_any())).collect();
    left.sort();
    left
}

/// Whether Argo CD would prune an object, or delete it with the Application: it takes objects without an owner for its own by their
/// label or by an annotation that names them, and leaves those alone that say so.
fn is_deleted_by_argo_cd(object: &DynamicObject) -> bool {
    let annotations = object.annotations();
    let is_tracked =
        object.labels().contains_key("app.kubernetes.io/instance") || annotations.contains_key("argocd.argoproj.io/tracking-id");
    let options = annotations.get("argocd.argoproj.io/sync-options").map_or("", String::as_str);
    let options: Vec<_> = options.split(',').map(str::trim).collect();
    is_tracked && object.owner_references().is_empty() && !(options.contains(&"Prune=false") && options.contains(&"Delete=false"))
}

#[tokio::test]
async fn everything_but_data_belongs_to_the_catalog() {
    let operator = settled("owned", &full()).await;
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

/// How many objects say to Argo CD that they stay.
async fn protected_from_argo_cd(operator: &Operator) -> usize {
    let objects = snapshot::objects(operator.namespace()).await;
    objects.iter().filter(|object| object.annotations().contains_key("argocd.argoproj.io/sync-options")).count()
}

#[tokio::test]
async fn what_argo_cd_notes_on_the_catalog_is_noted_on_nothing_else() {
    let mut operator = settled("tracked", &full()).await;
    let tracked = json!({"metadata": {
        "labels": {"app.kubernetes.io/instance": "application"},
        "annotations": {"argocd.argoproj.io/tracking-id": format!("application:catalog.rs/Catalog:{}/{NAME}", operator.namespace().name())},
    }});
    operator.namespace().api::<Catalog>().patch(NAME, &PatchParams::default(), &Patch::Merge(tracked)).await.unwrap();
    operator.settle().await;
    for object in snapshot::objects(operator.namespace()).await {
        if object.labels().contains_key("app.kubernetes.io/managed-by") {
            assert_eq!(object.labels()["app.kubernetes.io/instance"], NAME, "{}", object.name_any());
            assert!(!object.annotations().contains_key("argocd.argoproj.io/tracking-id"), "{}", object.name_any());
        }
    }
}

#[tokio::test]
async fn data_that_is_retained_is_taken_over_by_the_next_catalog_of_that_name() {
    let mut operator = settled("retained", &full()).await;
    let before = kept(operator.namespace()).await;
    assert_eq!(before.len(), 6, "{:?}", before.keys());
    delete_the_catalog(&operator).await;
    assert_eq!(left(&operator).await, before.keys().cloned().collect::<Vec<_>>());
    operator.apply(&full()).await.unwrap();
    operator.settle().await;
    assert_eq!(kept(operator.namespace()).await, before);
}

#[tokio::test]
async fn data_that_may_go_goes_with_the_catalog() {
    let operator = settled("deleted-all", &with(full(), "/deletionPolicy", json!("Delete"))).await;
    assert!(!kept(operator.namespace()).await.is_empty());
    delete_the_catalog(&operator).await;
    assert_eq!(left(&operator).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_policy_counts_as_it_is_when_the_catalog_is_deleted() {
    let mut operator = settled("policy", &with(full(), "/deletionPolicy", json!("Delete"))).await;
    let before = kept(operator.namespace()).await;
    operator.apply(&full()).await.unwrap();
    operator.settle().await;
    assert_eq!(protected_from_argo_cd(&operator).await, before.len());
    delete_the_catalog(&operator).await;
    assert_eq!(kept(operator.namespace()).await, before);
}

#[tokio::test]
async fn a_policy_counts_for_what_is_no_longer_used_as_well() {
    let mut operator = settled("let-go", &with(full(), "/deletionPolicy", json!("Delete"))).await;
    let before = kept(operator.namespace()).await;
    let external = with(full(), "/database", json!({"external": {"secretRef": {"name": "database"}}}));
    assert_eq!(protected_from_argo_cd(&operator).await, 0, "owned objects need no protection");
    operator.apply(&external).await.unwrap();
    operator.settle().await;
    assert_eq!(protected_from_argo_cd(&operator).await, before.len());
    delete_the_catalog(&operator).await;
    assert_eq!(kept(operator.namespace()).await, before);
}

#[tokio::test]
async fn data_that_is_used_again_and_owned_again_loses_its_protection_from_argo_cd() {
    let embedded = with(full(), "/deletionPolicy", json!("Delete"));
    let external = json!({"external": {"url": "nats://nats.example.com:4222", "monitoringEndpoint": "nats.example.com:8222"}});
    let mut operator = settled("reused", &embedded).await;
    operator.apply(&with(full(), "/messaging", external)).await.unwrap();
    operator.settle().await;
    assert!(protected_from_argo_cd(&operator).await > 0);
    operator.apply(&embedded).await.unwrap();
    operator.settle().await;
    assert_eq!(protected_from_argo_cd(&operator).await, 0);
}

#[tokio::test]
async fn a_kept_volume_of_a_class_of_its_own_is_used_without_naming_it_again() {
    let classed = with(full(), "/database/embedded/storageClassName", json!("standard"));
    let mut operator = settled("classed", &classed).await;
    let before = kept(operator.namespace()).await;
    delete_the_catalog(&operator).await;
    operator.apply(&full()).await.unwrap();
    operator.settle().await;
    assert_eq!(kept(operator.namespace()).await, before);
}

#[tokio::test]
async fn signing_keys_that_were_emptied_get_a_new_one() {
    let mut operator = settled("no-keys", &full()).await;
    let secrets = operator.namespace().api::<Secret>();
    let nothing = json!({"data": null});
    secrets.patch("shop-signing-keys", &PatchParams::default(), &Patch::Merge(&nothing)).await.unwrap();
    operator.settle().await;
    assert_eq!(secrets.get("shop-signing-keys").await.unwrap().data.unwrap().len(), 1);
}

#[tokio::test]
async fn a_grown_volume_stays_the_same_volume() {
    let mut operator = settled("grown", &full()).await;
    let before = kept(operator.namespace()).await;
    operator.apply(&with(full(), "/database/embedded/storage", json!("9Gi"))).await.unwrap();
    operator.settle().await;
    assert_eq!(kept(operator.namespace()).await, before);
    let claim = operator.namespace().api::<PersistentVolumeClaim>().get("shop-postgres-data").await.unwrap();
    assert_eq!(claim.spec.unwrap().resources.unwrap().requests.unwrap()["storage"].0, "9Gi");
}

#[tokio::test]
async fn what_a_person_put_into_a_generated_secret_is_not_overwritten() {
    let mut operator = settled("edited-secret", &full()).await;
    operator.write_secret("shop-superuser", &[("password", "a person's own")]).await;
    operator.settle().await;
    let secret = operator.namespace().api::<Secret>().get("shop-superuser").await.unwrap();
    let data: BTreeMap<_, _> = secret.data.unwrap().into_iter().map(|(key, value)| (key, String::from_utf8(value.0).unwrap())).collect();
    assert_eq!(data["password"], "a person's own");
}
