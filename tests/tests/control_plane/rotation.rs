//! Rotation of the embedded database's password: PostgreSQL is not restarted, and the Secret always contains a valid password.

use std::{collections::BTreeMap, time::Duration};

use catalog_operator::{build::keda::TriggerAuthentication, crd::Catalog};
use catalog_tests::{
    control_plane::{
        FakeControllers, Operator, RunningOperator,
        operator::{NAME, ReconcileOutcome, catalog},
        specs::{full, minimal, with},
    },
    wait::{check, within},
};
use k8s_openapi::{
    ByteString,
    api::{
        apps::v1::{Deployment, StatefulSet},
        core::v1::Secret,
        events::v1::Event,
    },
    jiff::{SignedDuration, Timestamp},
};
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

const ANNOTATION: &str = "catalog.rs/rotate-database-password";

async fn ready_operator(stem: &str) -> Operator {
    let mut operator = Operator::new(stem).await;
    operator.apply(&full()).await.unwrap();
    operator.reconcile_until_ready().await;
    operator
}

/// Requests a rotation at `after` from now. The operator's clock must be later than that.
async fn request_rotation(operator: &Operator, after: SignedDuration) {
    annotate(operator, &(Timestamp::now() + after).to_string()).await;
}

async fn annotate(operator: &Operator, value: &str) {
    let annotation = json!({"metadata": {"annotations": {ANNOTATION: value}}});
    let catalogs = operator.namespace().api::<Catalog>();
    catalogs.patch(NAME, &PatchParams::default(), &Patch::Merge(annotation)).await.unwrap();
}

async fn passwords(operator: &Operator) -> BTreeMap<String, ByteString> {
    operator.namespace().api::<Secret>().get("shop-postgres").await.unwrap().data.unwrap()
}

fn keys(data: &BTreeMap<String, ByteString>) -> Vec<&str> {
    data.keys().map(String::as_str).collect()
}

/// Returns the login role of each Deployment, and the key of the Secret with its password.
async fn logins(operator: &Operator) -> Vec<(String, String)> {
    let deployments = operator.namespace().all::<Deployment>().await.into_iter();
    let login = |deployment: Deployment| {
        let mut containers = deployment.spec.template.spec.unwrap().containers;
        let variables = containers.remove(0).env.unwrap();
        let named = |name: &str| variables.iter().find(|variable| variable.name == name).unwrap();
        let password = named("PGPASSWORD").value_from.as_ref().unwrap().secret_key_ref.as_ref().unwrap().key.clone();
        (named("PGUSER").value.clone().unwrap(), password)
    };
    deployments.map(login).collect()
}

async fn postgres(operator: &Operator) -> StatefulSet {
    operator.namespace().api::<StatefulSet>().get("shop-postgres").await.unwrap()
}

async fn reconcile(operator: &mut Operator) {
    let ended = operator.reconcile().await;
    assert!(matches!(ended, ReconcileOutcome::Succeeded), "{ended:?}");
}

fn logins_of(login: &str) -> Vec<(String, String)> {
    vec![(login.to_owned(), login.to_owned()); 4]
}

#[tokio::test]
async fn a_rotation_replaces_the_pods_of_the_shop_without_restarting_postgresql() {
    let mut operator = ready_operator("rotated").await;
    let (server, before) = (postgres(&operator).await, passwords(&operator).await);
    assert_eq!((keys(&before), logins(&operator).await), (vec!["catalog_a", "changed-at", "username"], logins_of("catalog_a")));
    operator.advance_clock(SignedDuration::from_hours(2));
    request_rotation(&operator, SignedDuration::from_hours(1)).await;
    reconcile(&mut operator).await;
    // The migration waits until PostgreSQL accepts the new password.
    let rotated = passwords(&operator).await;
    assert_eq!(keys(&rotated), ["catalog_a", "catalog_b", "changed-at", "username"]);
    assert_eq!((&rotated["catalog_a"], &rotated["username"].0), (&before["catalog_a"], &b"catalog_b".to_vec()));
    assert_eq!(logins(&operator).await, logins_of("catalog_a"), "pods are replaced after the migration has logged in");
    assert!(operator.condition("Ready").await.is_true, "the shop is available");
    operator.reconcile_until_ready().await;
    assert_eq!(
        (passwords(&operator).await, logins(&operator).await),
        (rotated.clone(), logins_of("catalog_b")),
        "one request causes one rotation"
    );
    let scalers: Vec<DynamicObject> = catalog_tests::control_plane::snapshot::objects(operator.namespace())
        .await
        .into_iter()
        .filter(|object| object.types.as_ref().is_some_and(|types| matches!(types.kind.as_str(), "ScaledObject" | "TriggerAuthentication")))
        .collect();
    assert!(scalers.iter().any(|object| object.data.to_string().contains("catalog_b")), "{scalers:?}");
    assert!(scalers.iter().all(|object| !object.data["spec"].to_string().contains("catalog_a")), "{scalers:?}");

    operator.advance_clock(SignedDuration::from_mins(5));
    let generations = |deployments: Vec<Deployment>| deployments.iter().map(|it| it.metadata.generation).collect::<Vec<_>>();
    let pods = generations(operator.namespace().all().await);
    operator.reconcile_until_ready().await;
    assert_eq!(keys(&passwords(&operator).await), ["catalog_b", "changed-at", "username"]);
    assert_eq!(generations(operator.namespace().all().await), pods, "removing the previous password replaces no pod");

    let after = postgres(&operator).await;
    assert_eq!((after.metadata.generation, after.spec.template), (server.metadata.generation, server.spec.template));
    let events: Api<Event> = operator.namespace().api();
    let reasons: Vec<_> = events.list(&ListParams::default()).await.unwrap().items.into_iter().filter_map(|event| event.reason).collect();
    for reason in ["DatabasePasswordRotated", "DatabasePasswordRetired"] {
        assert_eq!(reasons.iter().filter(|found| *found == reason).count(), 1, "{reason} in {reasons:?}");
    }
}

#[tokio::test]
async fn the_next_rotation_waits_until_no_pod_uses_the_previous_password() {
    let mut operator = ready_operator("rotated-twice").await;
    operator.advance_clock(SignedDuration::from_hours(2));
    request_rotation(&operator, SignedDuration::from_hours(1)).await;
    reconcile(&mut operator).await;
    operator.controllers().complete_all().await;
    reconcile(&mut operator).await;
    let rotated = passwords(&operator).await;
    assert_eq!(logins(&operator).await, logins_of("catalog_b"));
    // The Deployments are updated, but their old pods still run.
    operator.advance_clock(SignedDuration::from_hours(2));
    request_rotation(&operator, SignedDuration::from_hours(3)).await;
    for _ in 0..3 {
        reconcile(&mut operator).await;
        assert_eq!(passwords(&operator).await, rotated);
    }
    operator.reconcile_until_ready().await;
    let again = passwords(&operator).await;
    assert_eq!(again["username"].0, b"catalog_a");
    assert_eq!(again["catalog_b"], rotated["catalog_b"]);
    assert_ne!(again["catalog_a"], rotated["catalog_a"]);
    assert_eq!(logins(&operator).await, logins_of("catalog_a"));
}

#[tokio::test]
async fn the_previous_password_stays_for_five_minutes_after_a_long_rollout() {
    let mut operator = ready_operator("long-rollout").await;
    operator.advance_clock(SignedDuration::from_hours(2));
    request_rotation(&operator, SignedDuration::from_hours(1)).await;
    reconcile(&mut operator).await;
    operator.controllers().complete_all().await;
    reconcile(&mut operator).await;
    assert_eq!(logins(&operator).await, logins_of("catalog_b"));
    operator.advance_clock(SignedDuration::from_mins(10));
    operator.controllers().roll_out_deployments_at(operator.now()).await;
    operator.reconcile_until_ready().await;
    operator.advance_clock(SignedDuration::from_mins(4));
    operator.reconcile_until_ready().await;
    assert_eq!(keys(&passwords(&operator).await), ["catalog_a", "catalog_b", "changed-at", "username"], "pods may be draining");
    operator.advance_clock(SignedDuration::from_mins(2));
    operator.reconcile_until_ready().await;
    assert_eq!(keys(&passwords(&operator).await), ["catalog_b", "changed-at", "username"]);
}

#[tokio::test]
async fn the_previous_password_stays_while_keda_uses_it() {
    let mut operator = ready_operator("used-by-keda").await;
    operator.advance_clock(SignedDuration::from_hours(2));
    request_rotation(&operator, SignedDuration::from_hours(1)).await;
    reconcile(&mut operator).await;
    operator.controllers().complete_all().await;
    reconcile(&mut operator).await;
    operator.controllers().complete_all().await;
    assert_eq!(logins(&operator).await, logins_of("catalog_b"));
    operator.advance_clock(SignedDuration::from_mins(10));
    // As if the API server had rejected this object: pods have been replaced, and KEDA has the previous login.
    let keda: Api<TriggerAuthentication> = operator.namespace().api();
    let key = json!([{"op": "replace", "path": "/spec/secretTargetRef/0/key", "value": "catalog_a"}]);
    keda.patch("shop-notifier", &PatchParams::default(), &Patch::Json::<()>(serde_json::from_value(key).unwrap())).await.unwrap();
    reconcile(&mut operator).await;
    assert_eq!(keys(&passwords(&operator).await), ["catalog_a", "catalog_b", "changed-at", "username"]);
    operator.reconcile_until_ready().await;
    assert_eq!(keys(&passwords(&operator).await), ["catalog_b", "changed-at", "username"]);
}

/// PostgreSQL may not have the new password before the migration has logged in with it.
#[tokio::test]
async fn deployments_are_restored_with_the_previous_login_while_the_migration_waits_for_the_new_one() {
    let mut operator = ready_operator("restored").await;
    let api = operator.namespace().api::<Deployment>();
    let before = api.get("shop-tracker").await.unwrap();
    operator.advance_clock(SignedDuration::from_hours(2));
    request_rotation(&operator, SignedDuration::from_hours(1)).await;
    reconcile(&mut operator).await;
    api.delete("shop-api", &DeleteParams::background()).await.unwrap();
    let edited = json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "example.com/edited"}]);
    api.patch("shop-tracker", &PatchParams::default(), &Patch::Json::<()>(serde_json::from_value(edited).unwrap())).await.unwrap();
    reconcile(&mut operator).await;
    assert!(!operator.condition("Migrated").await.is_true);
    assert_eq!(logins(&operator).await, logins_of("catalog_a"));
    assert_eq!(api.get("shop-tracker").await.unwrap().spec.template, before.spec.template);
    operator.reconcile_until_ready().await;
    assert_eq!(logins(&operator).await, logins_of("catalog_b"));
}

#[tokio::test]
async fn a_rotation_that_is_requested_for_later_happens_at_that_instant() {
    let watched = RunningOperator::shared();
    let namespace = watched.namespace("requested-for-later").await;
    let controllers = FakeControllers::new(&namespace);
    namespace.apply(&catalog(&minimal())).await.unwrap();
    within(Duration::from_secs(30), "the shop is ready and nothing is in progress", async || {
        controllers.complete_all().await;
        let status = namespace.api::<Catalog>().get(NAME).await.unwrap().status.unwrap_or_default();
        let is_at = |kind: &str, expected: &str| status.conditions.iter().any(|it| it.type_ == kind && it.status == expected);
        check(is_at("Ready", "True") && is_at("Progressing", "False"), || format!("{status:?}"))
    })
    .await;
    let later = Timestamp::now() + SignedDuration::from_secs(3);
    let annotations = json!({ANNOTATION: later.to_string(), "catalog.rs/rotate-signing-key": later.to_string()});
    let annotated = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
    namespace.api::<Catalog>().patch(NAME, &PatchParams::default(), &annotated).await.unwrap();
    within(Duration::from_secs(15), "the password and the signing key are rotated", async || {
        let secrets = namespace.api::<Secret>();
        let keys = async |name: &str| secrets.get(name).await.unwrap().data.unwrap().into_keys().collect::<Vec<_>>();
        let (passwords, signing_keys) = (keys("shop-postgres").await, keys("shop-signing-keys").await);
        check(passwords.contains(&"catalog_b".to_owned()) && signing_keys.len() == 2, || format!("{passwords:?} {signing_keys:?}"))
    })
    .await;
}

#[tokio::test]
async fn the_password_of_an_older_release_is_kept_until_no_pod_uses_it() {
    let mut operator = ready_operator("older-release").await;
    let secrets = operator.namespace().api::<Secret>();
    let old = json!([{"op": "replace", "path": "/data", "value": {"password": "b2xk"}}]);
    secrets.patch("shop-postgres", &PatchParams::default(), &Patch::Json::<()>(serde_json::from_value(old).unwrap())).await.unwrap();
    operator.reconcile_until_ready().await;
    assert_eq!(keys(&passwords(&operator).await), ["catalog_a", "changed-at", "password", "username"]);
    operator.advance_clock(SignedDuration::from_mins(6));
    operator.reconcile_until_ready().await;
    assert_eq!(keys(&passwords(&operator).await), ["catalog_a", "changed-at", "username"]);
}

#[tokio::test]
async fn a_rotation_request_that_is_invalid_or_for_an_external_database_is_reported_as_a_warning() {
    let mut operator = ready_operator("invalid-annotation").await;
    annotate(&operator, "soon").await;
    operator.reconcile_until_ready().await;
    let condition = operator.condition("Complete").await;
    assert!(!condition.is_true && condition.message.contains(ANNOTATION) && condition.message.contains("\"soon\""), "{condition:?}");
    operator.apply(&with(full(), "/database", json!({"external": {"secretRef": {"name": "database"}}}))).await.unwrap();
    annotate(&operator, &Timestamp::now().to_string()).await;
    operator.reconcile_until_ready().await;
    let condition = operator.condition("Complete").await;
    assert!(!condition.is_true && condition.message.contains(ANNOTATION) && condition.message.contains("external"), "{condition:?}");
}

#[tokio::test]
async fn a_changed_secret_of_an_external_database_replaces_pods_only_after_a_migration_has_used_it() {
    let mut operator = Operator::new("external").await;
    operator.apply(&with(full(), "/database", json!({"external": {"secretRef": {"name": "database"}}}))).await.unwrap();
    operator.reconcile_until_ready().await;
    let api = operator.namespace().api::<Deployment>();
    let before = api.get("shop-api").await.unwrap();
    let strategy = before.spec.strategy.clone().unwrap().rolling_update.unwrap();
    assert_eq!(serde_json::to_value(strategy.max_unavailable).unwrap(), Value::from(0), "old pods run until new ones are available");
    operator.write_secret("database", &[("uri", "postgres://shop:another@db.example.com/shop")]).await;
    reconcile(&mut operator).await;
    assert!(operator.condition("Ready").await.is_true, "pods with the old password are available");
    assert_eq!(api.get("shop-api").await.unwrap().metadata.generation, before.metadata.generation);
    operator.reconcile_until_ready().await;
    assert!(api.get("shop-api").await.unwrap().metadata.generation > before.metadata.generation);
}
