//! The changes that fault injection runs.

use catalog_operator::crd::Catalog;
use k8s_openapi::{
    api::core::v1::Secret,
    jiff::{SignedDuration, Timestamp},
};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::{
    Change, Operator,
    operator::NAME,
    specs::{full, with},
};

/// Returns all changes.
pub fn all() -> [fn() -> Change; 6] {
    [install, update, scale, new_image, rotation, deletion]
}

/// Creates a Catalog.
pub fn install() -> Change {
    Change { name: "install", before: None, action: Box::new(|operator| Box::pin(apply(operator, full()))) }
}

/// Edits most of the spec at once: another mail server, a larger volume, one autoscaler added and one removed.
pub fn update() -> Change {
    let edits = [
        ("/mail/server", json!("mail.example.org")),
        ("/database/embedded/storage", json!("7Gi")),
        ("/api", json!({"autoscaling": {"minReplicas": 2, "maxReplicas": 6, "targetCPUUtilizationPercentage": 60}})),
        ("/notifier", json!({"replicas": 2, "env": [{"name": "RUST_LOG", "value": "debug"}]})),
        ("/tracker/annotations", json!({"example.com/team": "shelves"})),
        ("/auth/accessTokenTTL", json!("30m")),
    ];
    let after = edits.into_iter().fold(full(), |spec, (pointer, value)| with(spec, pointer, value));
    Change { name: "update", before: Some(full()), action: Box::new(move |operator| Box::pin(apply(operator, after.clone()))) }
}

/// Changes the replicas of one role and the autoscaling bounds of another.
pub fn scale() -> Change {
    let before = with(full(), "/api", json!({"replicas": 2}));
    let after = with(with(before.clone(), "/api/replicas", json!(5)), "/tracker/autoscaling/maxReplicas", json!(9));
    Change { name: "scale", before: Some(before), action: Box::new(move |operator| Box::pin(apply(operator, after.clone()))) }
}

/// Changes the image tag, which runs a migration and replaces the pods.
pub fn new_image() -> Change {
    let after = with(full(), "/image/tag", json!("9.9.9"));
    Change { name: "image", before: Some(full()), action: Box::new(move |operator| Box::pin(apply(operator, after.clone()))) }
}

/// Rotates the signing key, the password of the mail server and the password of the database.
pub fn rotation() -> Change {
    Change { name: "rotation", before: Some(full()), action: Box::new(|operator| Box::pin(rotate(operator))) }
}

/// Deletes a Catalog while a reconcile of it is still pending. Only its data may remain.
pub fn deletion() -> Change {
    Change { name: "deletion", before: Some(full()), action: Box::new(|operator| Box::pin(delete(operator))) }
}

async fn apply(operator: &mut Operator, spec: Value) {
    operator.apply(&spec).await.expect("the spec is valid");
}

async fn rotate(operator: &mut Operator) {
    operator.advance_clock(SignedDuration::from_hours(2));
    let since = Timestamp::now() + SignedDuration::from_hours(1);
    let annotation = json!({"metadata": {"annotations": {"catalog.rs/rotate-signing-key": since.to_string()}}});
    let catalogs = operator.namespace().api::<Catalog>();
    catalogs.patch(NAME, &PatchParams::default(), &Patch::Merge(annotation)).await.expect("a Catalog can be annotated");
    operator.write_secret("mail", &[("username", "shop"), ("password", "another")]).await;
    let secrets = operator.namespace().api::<Secret>();
    secrets.delete(&format!("{NAME}-postgres"), &DeleteParams::default()).await.expect("the database has a generated Secret");
}

async fn delete(operator: &mut Operator) {
    let before = operator.catalog().await.expect("it was applied");
    let catalogs = operator.namespace().api::<Catalog>();
    catalogs.delete(NAME, &DeleteParams::default()).await.expect("a Catalog can be deleted");
    // The operator reconciles a cached Catalog after part of its objects were collected.
    operator.controllers().collect_garbage_of("Deployment").await;
    // The owner of the objects that it creates no longer exists.
    operator.reconcile_as(before).await;
    operator.controllers().collect_garbage().await;
}
