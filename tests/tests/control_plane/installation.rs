//! The operator reports a lost volume or another installation of the database, and never replaces it by an empty one on its own.

use catalog_operator::crd::{Catalog, DatabaseStatus};
use catalog_tests::control_plane::{
    Call, Fault, Operator,
    call_recorder::Verb,
    operator::{NAME, ReconcileOutcome},
    specs::{full, with},
};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{PersistentVolumeClaim, Service},
};
use kube::{
    ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::json;

const CLAIM: &str = "shop-postgres-data";
const ABANDON: &str = "catalog.rs/abandon-installation";
const FIRST: &str = "11111111-1111-4111-8111-111111111111";
const SECOND: &str = "22222222-2222-4222-8222-222222222222";

/// A shop whose migration reported [`FIRST`].
async fn ready_operator(stem: &str) -> Operator {
    let mut operator = Operator::new(stem).await;
    operator.apply(&full()).await.unwrap();
    operator.reconcile().await;
    finish_migration(&operator, FIRST).await;
    operator.reconcile_until_ready().await;
    operator
}

/// Returns the migration Job that hasn't finished.
async fn unfinished_migration(operator: &Operator) -> Job {
    let jobs = operator.namespace().all::<Job>().await.into_iter();
    let mut unfinished = jobs.filter(|job| job.status.as_ref().is_none_or(|status| status.completion_time.is_none()));
    unfinished.next().expect("a migration is unfinished")
}

async fn finish_migration(operator: &Operator, id: &str) {
    let message = json!({"installationId": id, "newestMigration": 20_261_130_001_201_i64}).to_string();
    operator.controllers().end_migration_container(&unfinished_migration(operator).await, 0, &message).await;
}

async fn expected_installation(operator: &Operator) -> Option<String> {
    let pod = unfinished_migration(operator).await.spec.unwrap().template.spec.unwrap();
    let settings = pod.containers.into_iter().flat_map(|container| container.env.unwrap_or_default());
    settings.filter(|setting| setting.name == "EXPECT_INSTALLATION").find_map(|setting| setting.value)
}

async fn claim_uid(operator: &Operator) -> Option<String> {
    operator.namespace().api::<PersistentVolumeClaim>().get_opt(CLAIM).await.unwrap()?.uid()
}

async fn database(operator: &Operator) -> DatabaseStatus {
    operator.catalog().await.unwrap().status.unwrap().database.unwrap()
}

async fn lose_the_volume(operator: &mut Operator) {
    operator.namespace().api::<PersistentVolumeClaim>().delete(CLAIM, &DeleteParams::default()).await.unwrap();
    operator.controllers().collect_garbage().await;
    operator.reconcile_until_idle().await;
}

async fn abandon(operator: &Operator, value: &str) {
    let annotated = json!({"metadata": {"annotations": {ABANDON: value}}});
    operator.namespace().api::<Catalog>().patch(NAME, &PatchParams::default(), &Patch::Merge(&annotated)).await.unwrap();
}

async fn assert_reported(operator: &Operator, kind: &str, reason: &str, parts: &[&str]) {
    let [part, ready, degraded] = [operator.condition(kind).await, operator.condition("Ready").await, operator.condition("Degraded").await];
    for (condition, holds) in [(&part, false), (&ready, false), (&degraded, true)] {
        assert!(condition.is_true == holds && condition.reason == reason, "{condition:?}");
        assert!(parts.iter().all(|part| condition.message.contains(part)), "{condition:?}");
    }
}

#[tokio::test]
async fn pods_are_listed_once_in_each_reconcile_of_a_migration() {
    let mut operator = ready_operator("listed-once").await;
    operator.apply(&with(full(), "/image/tag", json!("1.2.4"))).await.unwrap();
    for end in [None, Some(FIRST)] {
        if let Some(id) = end {
            finish_migration(&operator, id).await;
        }
        operator.recorder().reset();
        assert!(matches!(operator.reconcile().await, ReconcileOutcome::Succeeded));
        let lists = operator.recorder().calls().into_iter().filter(|made| made.call.path == "pods");
        assert_eq!(lists.count(), 1, "{end:?}");
    }
}

#[tokio::test]
async fn an_id_whose_report_was_lost_with_its_pod_is_unknown_until_the_next_migration() {
    let mut operator = Operator::new("report-lost").await;
    operator.apply(&full()).await.unwrap();
    operator.reconcile_until_ready().await;
    let known = database(&operator).await;
    assert!(known.installation_id.is_none() && known.migration.is_some() && known.claim_uid.is_some(), "{known:?}");
    operator.apply(&with(full(), "/image/tag", json!("1.2.4"))).await.unwrap();
    operator.reconcile().await;
    assert_eq!(expected_installation(&operator).await, None);
    finish_migration(&operator, SECOND).await;
    operator.reconcile_until_ready().await;
    assert_eq!(database(&operator).await.installation_id.as_deref(), Some(SECOND));
}

#[tokio::test]
async fn a_new_catalog_records_the_installation_that_its_migration_reports() {
    let operator = ready_operator("installation").await;
    let jobs = operator.namespace().all::<Job>().await;
    let names: Vec<_> = jobs.iter().map(ResourceExt::name_any).collect();
    let status = database(&operator).await;
    assert_eq!(names, [status.migration.clone().unwrap()], "one migration");
    assert_eq!(status.installation_id.as_deref(), Some(FIRST));
    assert_eq!(status.claim_uid, claim_uid(&operator).await);
}

#[tokio::test]
async fn a_failed_reconcile_of_an_outdated_catalog_keeps_the_installation_id() {
    let mut operator = Operator::new("older-status").await;
    operator.apply(&full()).await.unwrap();
    operator.reconcile().await;
    let older = operator.catalog().await.unwrap();
    finish_migration(&operator, FIRST).await;
    operator.reconcile_until_ready().await;
    operator.recorder().reset();
    operator.recorder().plan(Call { verb: Verb::GET, path: "services".into(), occurrence: 1 }, Fault::NotSent);
    assert!(matches!(operator.reconcile_as(older).await, ReconcileOutcome::Failed(_)));
    assert_eq!(database(&operator).await.installation_id.as_deref(), Some(FIRST));
}

#[tokio::test]
async fn a_lost_volume_is_reported_and_not_recreated_while_other_objects_are() {
    let mut operator = ready_operator("lost").await;
    let before = database(&operator).await;
    lose_the_volume(&mut operator).await;
    let annotation = format!("{ABANDON}={FIRST}");
    let uid = before.claim_uid.clone().unwrap();
    assert_reported(&operator, "DatabaseReady", "VolumeLost", &[CLAIM, &uid, &annotation, "Restore"]).await;
    assert!(!operator.condition("Migrated").await.is_true, "the migrated database is lost");
    let services = operator.namespace().api::<Service>();
    services.delete("shop-api", &DeleteParams::default()).await.unwrap();
    abandon(&operator, SECOND).await;
    operator.reconcile_until_idle().await;
    services.get("shop-api").await.unwrap();
    assert_eq!(claim_uid(&operator).await, None, "another id does not abandon this installation");
    assert_eq!(database(&operator).await.installation_id, before.installation_id);
    assert_eq!(operator.condition("DatabaseReady").await.reason, "VolumeLost");
}

/// Abandons the first installation, and returns the status of the database after the second one was created.
async fn change_installation(operator: &mut Operator) -> DatabaseStatus {
    abandon(operator, FIRST).await;
    operator.reconcile().await;
    assert_eq!(expected_installation(operator).await, None);
    finish_migration(operator, SECOND).await;
    operator.reconcile_until_ready().await;
    database(operator).await
}

#[tokio::test]
async fn abandoning_an_installation_creates_an_empty_volume_only_once() {
    let mut operator = ready_operator("abandoned").await;
    lose_the_volume(&mut operator).await;
    let status = change_installation(&mut operator).await;
    assert_eq!(status.installation_id.as_deref(), Some(SECOND));
    assert_eq!(status.claim_uid, claim_uid(&operator).await);
    // The annotation is still set, and names the first installation.
    assert_eq!(status.abandoned.as_deref(), Some(FIRST));
    assert!(operator.condition("Complete").await.is_true, "the annotation has taken effect");
    lose_the_volume(&mut operator).await;
    assert_reported(&operator, "DatabaseReady", "VolumeLost", &[SECOND]).await;
    assert_eq!(claim_uid(&operator).await, None);
}

#[tokio::test]
async fn a_restored_claim_is_used_if_it_has_the_expected_installation() {
    let mut operator = ready_operator("restored").await;
    lose_the_volume(&mut operator).await;
    // As a user restores it from a snapshot: without labels.
    let spec = json!({"accessModes": ["ReadWriteOnce"], "storageClassName": "standard", "resources": {"requests": {"storage": "5Gi"}}});
    let restored = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": CLAIM}, "spec": spec});
    operator.namespace().apply(&restored).await.unwrap();
    operator.reconcile().await;
    assert_eq!(expected_installation(&operator).await.as_deref(), Some(FIRST));
    operator.controllers().bind_claims().await;
    operator.controllers().roll_out_stateful_sets().await;
    operator.reconcile().await;
    let ready = operator.condition("Ready").await;
    assert!(!ready.is_true && ready.message.starts_with("Migrated: "), "the restored volume may be empty: {ready:?}");

    let message = format!("this database has no schema, but installation {FIRST} is expected");
    operator.controllers().end_migration_container(&unfinished_migration(&operator).await, 3, &message).await;
    operator.reconcile().await;
    assert_reported(&operator, "Migrated", "OtherInstallation", &[&message, &format!("{ABANDON}={FIRST}")]).await;

    finish_migration(&operator, FIRST).await;
    operator.reconcile_until_ready().await;
    let status = database(&operator).await;
    assert_eq!(status.installation_id.as_deref(), Some(FIRST));
    assert_eq!(status.claim_uid, claim_uid(&operator).await);
}

#[tokio::test]
async fn another_database_must_have_the_same_installation_until_it_is_abandoned() {
    let mut operator = ready_operator("switched").await;
    operator.apply(&with(full(), "/database", json!({"external": {"secretRef": {"name": "database"}}}))).await.unwrap();
    operator.reconcile().await;
    assert_eq!(expected_installation(&operator).await.as_deref(), Some(FIRST));
    let status = change_installation(&mut operator).await;
    assert_eq!((status.installation_id.as_deref(), status.claim_uid), (Some(SECOND), None));
    assert!(claim_uid(&operator).await.is_some(), "the volume of the embedded database is kept");
}
