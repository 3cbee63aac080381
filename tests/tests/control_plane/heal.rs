//! Heals: whatever is deleted or edited comes back, and what others added stays.

use std::collections::BTreeSet;

use catalog_tests::control_plane::{
    Operator,
    declared::{another, fields, remove, same_field},
    operator::Ended,
    snapshot::{self, differences, resource},
    specs::{full, with},
    wire::without_hash,
};
use k8s_openapi::api::{apps::v1::Deployment, events::v1::Event};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

async fn settled(stem: &str) -> Operator {
    let mut operator = Operator::new(stem).await;
    operator.apply(&full()).await.unwrap();
    operator.settle().await;
    operator
}

/// What the operator made, Secrets and claims included.
async fn owned(operator: &Operator) -> Vec<DynamicObject> {
    let objects = snapshot::objects(operator.namespace()).await.into_iter();
    objects.filter(|object| object.labels().get("app.kubernetes.io/managed-by").is_some_and(|by| by == "catalog-operator")).collect()
}

/// All but the claim of the database, which stays lost until a person decides (`installation.rs`).
async fn recreated(operator: &Operator) -> Vec<DynamicObject> {
    owned(operator).await.into_iter().filter(|object| object.name_any() != "shop-postgres-data").collect()
}

fn named(object: &DynamicObject) -> String {
    let kind = object.types.as_ref().map(|types| types.kind.as_str()).unwrap_or_default();
    format!("{kind} {}", without_hash(&object.name_any()))
}

async fn delete(operator: &Operator, object: &DynamicObject) {
    operator.namespace().dynamic(&resource(object)).delete(&object.name_any(), &DeleteParams::background()).await.unwrap();
}

#[tokio::test]
async fn each_deleted_object_comes_back() {
    let mut operator = settled("deleted").await;
    let before = snapshot::take(operator.namespace()).await;
    let all: Vec<_> = recreated(&operator).await.iter().map(named).collect();
    assert!(all.len() > 15, "{} objects", all.len());
    for name in &all {
        // Looked up each time: a Secret that was made anew is part of the name of the migration.
        let objects = owned(&operator).await;
        let object = objects.iter().find(|object| named(object) == *name).unwrap_or_else(|| panic!("there is no {name}"));
        delete(&operator, object).await;
        // Claims wait for somebody who sees that no pod uses them.
        operator.controllers().collect_garbage().await;
        operator.settle().await;
        let after = snapshot::take(operator.namespace()).await;
        assert_eq!(differences(&before, &after), Vec::<String>::new(), "after {name} was deleted");
    }
    println!("{} deleted objects came back", all.len());
}

#[tokio::test]
async fn everything_deleted_at_once_comes_back() {
    let mut operator = settled("emptied").await;
    let before = snapshot::take(operator.namespace()).await;
    for object in recreated(&operator).await {
        delete(&operator, &object).await;
    }
    operator.controllers().collect_garbage().await;
    operator.settle().await;
    assert_eq!(differences(&before, &snapshot::take(operator.namespace()).await), Vec::<String>::new());
}

/// How a field is tampered.
#[derive(Debug, Clone, Copy)]
enum Tampered {
    Changed,
    Removed,
    /// A map that is one value as a whole, such as a selector, has another entry.
    Extended,
}

/// Spoils one field of the object as a person with `kubectl edit` would. Whether the API server let them.
async fn tamper(operator: &Operator, object: &DynamicObject, pointer: &str, how: Tampered) -> bool {
    let api = operator.namespace().dynamic(&resource(object));
    let mut edited = serde_json::to_value(api.get(&object.name_any()).await.unwrap()).unwrap();
    let done = match how {
        Tampered::Removed => remove(&mut edited, pointer),
        Tampered::Changed => match edited.pointer_mut(pointer) {
            Some(value) => another(value).map(|other| *value = other).is_some(),
            None => false,
        },
        Tampered::Extended => match edited.pointer_mut(pointer).and_then(Value::as_object_mut) {
            Some(map) if !map.is_empty() => map.insert("optional".into(), entry(pointer)).is_none(),
            _ => false,
        },
    };
    let asked = PostParams { field_manager: Some("kubectl-edit".into()), ..PostParams::default() };
    done && match api.replace(&object.name_any(), &asked, &serde_json::from_value(edited).unwrap()).await {
        Ok(replaced) => replaced.resource_version() != object.resource_version(),
        Err(kube::Error::Api(status)) if status.code == 422 || status.code == 400 => false,
        Err(other) => panic!("{} cannot be edited: {other}", named(object)),
    }
}

/// What can be added to a map: `optional` is a field of references to Secrets, and a label elsewhere.
fn entry(pointer: &str) -> Value {
    if pointer.ends_with("secretKeyRef") { json!(true) } else { json!("label") }
}

async fn put_back(operator: &Operator, object: &DynamicObject) {
    let mut before = object.clone();
    before.metadata.resource_version = None;
    before.metadata.managed_fields = None;
    operator.namespace().dynamic(&resource(object)).replace(&object.name_any(), &PostParams::default(), &before).await.unwrap();
}

/// A list or map that says which objects are whose: an edit of it is not one of a declared field.
fn is_identity(pointer: &str) -> bool {
    pointer.starts_with("/metadata/ownerReferences/") || pointer == "/metadata/name" || pointer == "/metadata/namespace"
}

/// The `n`-th field of every object is tampered at once; then one reconcile has to repair them all.
async fn each_field_comes_back(stem: &str, how: Tampered) {
    let mut operator = settled(stem).await;
    let objects = owned(&operator).await;
    let declared: Vec<(DynamicObject, Vec<String>)> = objects
        .into_iter()
        .map(|object| {
            let pointers = fields(&object).into_iter().filter(|pointer| !is_identity(pointer)).collect();
            (object, pointers)
        })
        .collect();
    let rounds = declared.iter().map(|(_, pointers)| pointers.len()).max().unwrap();
    let (mut spoilt_fields, mut all, mut wrong) = (0, 0, Vec::new());
    for round in 0..rounds {
        let mut tampered = Vec::new();
        for (object, pointers) in &declared {
            let Some(pointer) = pointers.get(round) else { continue };
            all += 1;
            if tamper(&operator, object, pointer, how).await {
                tampered.push((object, pointer));
            }
        }
        spoilt_fields += tampered.len();
        if let Ended::Failed(error) = operator.reconcile().await {
            let fields = tampered.iter().map(|(object, pointer)| format!("{} {pointer}", named(object))).collect::<Vec<_>>().join(", ");
            wrong.push(format!("{error}, after {fields}"));
            // The others shall have their turn.
            for (object, _) in &tampered {
                put_back(&operator, object).await;
            }
            operator.come_to_rest().await;
            continue;
        }
        for (object, pointer) in tampered {
            let live = operator.namespace().dynamic(&resource(object)).get(&object.name_any()).await.unwrap();
            let (before, after) = (serde_json::to_value(object).unwrap(), serde_json::to_value(&live).unwrap());
            if same_field(&before, &after, pointer) != before.pointer(pointer) {
                wrong.push(format!(
                    "{} {pointer}: {:?}, not {:?}",
                    named(object),
                    same_field(&before, &after, pointer),
                    before.pointer(pointer)
                ));
            }
            // An item that was given another name is one that somebody added, and stays; but places have shifted.
            if before.pointer(pointer) != after.pointer(pointer) {
                put_back(&operator, object).await;
            }
        }
    }
    println!("{how:?}: {spoilt_fields} of {all} declared fields were tampered (the others the API server keeps) and came back");
    assert!(wrong.is_empty(), "{} of {spoilt_fields} stayed {how:?}:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn each_declared_field_that_was_changed_comes_back() {
    each_field_comes_back("changed", Tampered::Changed).await;
}

#[tokio::test]
async fn each_declared_field_that_was_removed_comes_back() {
    each_field_comes_back("removed", Tampered::Removed).await;
}

#[tokio::test]
async fn each_declared_map_with_another_entry_comes_back() {
    each_field_comes_back("extended", Tampered::Extended).await;
}

#[tokio::test]
async fn a_person_whose_edit_was_undone_is_told() {
    let mut operator = settled("told").await;
    let deployments = operator.namespace().api::<Deployment>();
    let mut api = deployments.get("shop-api").await.unwrap();
    api.spec.replicas = Some(7);
    let asked = PostParams { field_manager: Some("kubectl-edit".into()), ..PostParams::default() };
    deployments.replace("shop-api", &asked, &api).await.unwrap();
    operator.reconcile().await;
    assert_eq!(deployments.get("shop-api").await.unwrap().spec.replicas, Some(2));
    let events: Vec<_> = Api::<Event>::namespaced(operator.namespace().client().clone(), operator.namespace().name())
        .list(&ListParams::default())
        .await
        .unwrap()
        .items;
    let notes: Vec<_> =
        events.iter().filter(|event| event.reason.as_deref() == Some("FieldsOverridden")).map(|event| event.note.clone()).collect();
    assert!(notes.iter().flatten().any(|note| note.contains("Deployment shop-api") && note.contains("kubectl-edit")), "{notes:?}");
}

#[tokio::test]
async fn what_others_added_stays() {
    let mut operator = settled("added").await;
    let deployments = operator.namespace().api::<Deployment>();
    let added = json!({
        "metadata": {"annotations": {"example.com/note": "hands off"}},
        "spec": {"template": {"spec": {"containers": [{"name": "sidecar", "image": "example.com/sidecar"}]}}},
    });
    deployments.patch("shop-api", &PatchParams::default(), &Patch::Strategic(added)).await.unwrap();
    operator.wire().begin();
    operator.settle().await;
    assert!(operator.wire().writes().iter().all(|call| !call.path.starts_with("deployments")), "what others add is no reason to write");
    operator.apply(&with(full(), "/image/tag", json!("9.9.9"))).await.unwrap();
    operator.settle().await;
    let live = deployments.get("shop-api").await.unwrap();
    let containers: BTreeSet<_> = live.spec.template.spec.as_ref().unwrap().containers.iter().map(|one| one.name.as_str()).collect();
    assert!(containers.contains("sidecar") && containers.len() == 2, "{containers:?}");
    assert_eq!(live.annotations()["example.com/note"], "hands off");
}
