//! The changes that every shop lives through.

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

/// All of them.
pub fn all() -> [fn() -> Change; 6] {
    [install, update, scale, new_image, rotation, deletion]
}

/// A first Catalog.
pub fn install() -> Change {
    Change { name: "install", before: None, done: Box::new(|operator| Box::pin(apply(operator, full()))) }
}

/// Nearly everything is edited at once: another mail server, a bigger volume, an autoscaler more and one less.
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
    Change { name: "update", before: Some(full()), done: Box::new(move |operator| Box::pin(apply(operator, after.clone()))) }
}

/// More pods of one role, and other bounds for another.
pub fn scale() -> Change {
    let before = with(full(), "/api", json!({"replicas": 2}));
    let after = with(with(before.clone(), "/api/replicas", json!(5)), "/tracker/autoscaling/maxReplicas", json!(9));
    Change { name: "scale", before: Some(before), done: Box::new(move |operator| Box::pin(apply(operator, after.clone()))) }
}

/// Another release: a migration, and then new pods.
pub fn new_image() -> Change {
    let after = with(full(), "/image/tag", json!("9.9.9"));
    Change { name: "image", before: Some(full()), done: Box::new(move |operator| Box::pin(apply(operator, after.clone()))) }
}

/// All secrets are new: the signing key, the password of the mail server, and that of the database.
pub fn rotation() -> Change {
    Change { name: "rotation", before: Some(full()), done: Box::new(|operator| Box::pin(rotate(operator))) }
}

/// A Catalog is deleted while the operator still looks at it. What may be left is its data.
pub fn deletion() -> Change {
    Change { name: "deletion", before: Some(full()), done: Box::new(|operator| Box::pin(delete(operator))) }
}

async fn apply(operator: &mut Operator, spec: Value) {
    operator.apply(&spec).await.expect("the spec is valid");
}

async fn rotate(operator: &mut Operator) {
    operator.pass(SignedDuration::from_hours(2));
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
    // Half of what belonged to it is gone when the operator, which hasn't heard of that yet, looks once more.
    operator.controllers().collect_garbage_of("Deployment").await;
    // Whatever it makes now belongs to nobody.
    operator.reconcile_as(before).await;
    operator.controllers().collect_garbage().await;
}
