//! Drift correction: the operator recreates deleted objects, reverts edits to the fields it declares, and keeps other fields.

use std::collections::BTreeSet;

use catalog_tests::control_plane::{
    Operator,
    call_recorder::without_hash,
    declared::{another, fields, remove, same_field},
    operator::ReconcileOutcome,
    snapshot::{self, differences, resource},
    specs::{full, with},
};
use k8s_openapi::api::{apps::v1::Deployment, events::v1::Event};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

async fn ready_operator(stem: &str) -> Operator {
    let mut operator = Operator::new(stem).await;
    operator.apply(&full()).await.unwrap();
    operator.reconcile_until_ready().await;
    operator
}

/// Lists all objects of the operator, with Secrets and claims.
async fn owned(operator: &Operator) -> Vec<DynamicObject> {
    let objects = snapshot::objects(operator.namespace()).await.into_iter();
    objects.filter(|object| object.labels().get("app.kubernetes.io/managed-by").is_some_and(|by| by == "catalog-operator")).collect()
}

/// Lists the objects that the operator recreates: all but the claim of the database (see `installation.rs`).
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
async fn each_deleted_object_is_recreated() {
    let mut operator = ready_operator("deleted").await;
    let before = snapshot::take(operator.namespace()).await;
    let all: Vec<_> = recreated(&operator).await.iter().map(named).collect();
    assert!(all.len() > 15, "{} objects", all.len());
    for name in &all {
        // Listed each time, because a recreated Secret changes the name of the migration Job.
        let objects = owned(&operator).await;
        let object = objects.iter().find(|object| named(object) == *name).unwrap_or_else(|| panic!("{name} does not exist"));
        delete(&operator, object).await;
        // Claims have a finalizer until no pod uses them.
        operator.controllers().collect_garbage().await;
        operator.reconcile_until_ready().await;
        let after = snapshot::take(operator.namespace()).await;
        assert_eq!(differences(&before, &after), Vec::<String>::new(), "after {name} was deleted");
    }
    println!("{} deleted objects were recreated", all.len());
}

#[tokio::test]
async fn all_objects_are_recreated_after_all_are_deleted() {
    let mut operator = ready_operator("emptied").await;
    let before = snapshot::take(operator.namespace()).await;
    for object in recreated(&operator).await {
        delete(&operator, &object).await;
    }
    operator.controllers().collect_garbage().await;
    operator.reconcile_until_ready().await;
    assert_eq!(differences(&before, &snapshot::take(operator.namespace()).await), Vec::<String>::new());
}

/// How a declared field is edited.
#[derive(Debug, Clone, Copy)]
enum Edit {
    Change,
    Remove,
    /// Adds an entry to an atomic map, such as a selector.
    Extend,
}

/// Edits one field of the object as a user with `kubectl edit` does. Returns whether the object has changed.
async fn tamper(operator: &Operator, object: &DynamicObject, pointer: &str, edit: Edit) -> bool {
    let api = operator.namespace().dynamic(&resource(object));
    let mut edited = serde_json::to_value(api.get(&object.name_any()).await.unwrap()).unwrap();
    let is_edited = match edit {
        Edit::Remove => remove(&mut edited, pointer),
        Edit::Change => match edited.pointer_mut(pointer) {
            Some(value) => another(value).map(|other| *value = other).is_some(),
            None => false,
        },
        Edit::Extend => match edited.pointer_mut(pointer).and_then(Value::as_object_mut) {
            Some(map) if !map.is_empty() => map.insert("optional".into(), entry(pointer)).is_none(),
            _ => false,
        },
    };
    let params = PostParams { field_manager: Some("kubectl-edit".into()), ..PostParams::default() };
    is_edited
        && match api.replace(&object.name_any(), &params, &serde_json::from_value(edited).unwrap()).await {
            Ok(replaced) => replaced.resource_version() != object.resource_version(),
            Err(kube::Error::Api(status)) if status.code == 422 || status.code == 400 => false,
            Err(other) => panic!("{} cannot be edited: {other}", named(object)),
        }
}

/// Returns a value for `optional`, which is a boolean field in references to Secrets and a label elsewhere.
fn entry(pointer: &str) -> Value {
    if pointer.ends_with("secretKeyRef") { json!(true) } else { json!("label") }
}

async fn put_back(operator: &Operator, object: &DynamicObject) {
    let mut before = object.clone();
    before.metadata.resource_version = None;
    before.metadata.managed_fields = None;
    operator.namespace().dynamic(&resource(object)).replace(&object.name_any(), &PostParams::default(), &before).await.unwrap();
}

/// Whether a field identifies the object or its owner. This test does not edit those.
fn is_identity(pointer: &str) -> bool {
    pointer.starts_with("/metadata/ownerReferences/") || pointer == "/metadata/name" || pointer == "/metadata/namespace"
}

/// Tampers with the `n`-th declared field of every object at once; then one reconcile must revert all edits.
async fn assert_each_edit_is_reverted(stem: &str, edit: Edit) {
    let mut operator = ready_operator(stem).await;
    let objects = owned(&operator).await;
    let declared: Vec<(DynamicObject, Vec<String>)> = objects
        .into_iter()
        .map(|object| {
            let pointers = fields(&object).into_iter().filter(|pointer| !is_identity(pointer)).collect();
            (object, pointers)
        })
        .collect();
    let rounds = declared.iter().map(|(_, pointers)| pointers.len()).max().unwrap();
    let (mut edited_fields, mut all, mut wrong) = (0, 0, Vec::new());
    for round in 0..rounds {
        let mut tampered = Vec::new();
        for (object, pointers) in &declared {
            let Some(pointer) = pointers.get(round) else { continue };
            all += 1;
            if tamper(&operator, object, pointer, edit).await {
                tampered.push((object, pointer));
            }
        }
        edited_fields += tampered.len();
        if let ReconcileOutcome::Failed(error) = operator.reconcile().await {
            let fields = tampered.iter().map(|(object, pointer)| format!("{} {pointer}", named(object))).collect::<Vec<_>>().join(", ");
            wrong.push(format!("{error}, after {fields}"));
            // Restore the fields, so that the other ones are tested as well.
            for (object, _) in &tampered {
                put_back(&operator, object).await;
            }
            operator.reconcile_until_idle().await;
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
            // A renamed list item counts as added by another manager and is kept, which shifts positions in the list.
            if before.pointer(pointer) != after.pointer(pointer) {
                put_back(&operator, object).await;
            }
        }
    }
    println!("{edit:?}: edited {edited_fields} of {all} declared fields; the API server did not accept the other edits");
    assert!(wrong.is_empty(), "{edit:?}: {} of {edited_fields} edits were not reverted:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn each_changed_declared_field_is_reverted() {
    assert_each_edit_is_reverted("changed", Edit::Change).await;
}

#[tokio::test]
async fn each_removed_declared_field_is_restored() {
    assert_each_edit_is_reverted("removed", Edit::Remove).await;
}

#[tokio::test]
async fn each_extended_atomic_map_is_reverted() {
    assert_each_edit_is_reverted("extended", Edit::Extend).await;
}

#[tokio::test]
async fn reverting_an_edit_publishes_an_event() {
    let mut operator = ready_operator("reverted").await;
    let deployments = operator.namespace().api::<Deployment>();
    let mut api = deployments.get("shop-api").await.unwrap();
    api.spec.replicas = Some(7);
    let params = PostParams { field_manager: Some("kubectl-edit".into()), ..PostParams::default() };
    deployments.replace("shop-api", &params, &api).await.unwrap();
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
async fn fields_that_others_added_are_kept() {
    let mut operator = ready_operator("added").await;
    let deployments = operator.namespace().api::<Deployment>();
    let added = json!({
        "metadata": {"annotations": {"example.com/note": "added"}},
        "spec": {"template": {"spec": {"containers": [{"name": "sidecar", "image": "example.com/sidecar"}]}}},
    });
    deployments.patch("shop-api", &PatchParams::default(), &Patch::Strategic(added)).await.unwrap();
    operator.recorder().reset();
    operator.reconcile_until_ready().await;
    assert!(
        operator.recorder().writes().iter().all(|call| !call.path.starts_with("deployments")),
        "fields of other managers cause no write"
    );
    operator.apply(&with(full(), "/image/tag", json!("9.9.9"))).await.unwrap();
    operator.reconcile_until_ready().await;
    let live = deployments.get("shop-api").await.unwrap();
    let containers: BTreeSet<_> = live.spec.template.spec.as_ref().unwrap().containers.iter().map(|one| one.name.as_str()).collect();
    assert!(containers.contains("sidecar") && containers.len() == 2, "{containers:?}");
    assert_eq!(live.annotations()["example.com/note"], "added");
}
