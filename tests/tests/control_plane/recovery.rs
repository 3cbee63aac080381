//! The operator reports why it cannot apply a spec, and recovers when the cause is corrected.

use catalog_tests::control_plane::{
    Call, Fault, Operator,
    call_recorder::Verb,
    fake_controllers::JobEnd,
    operator::ReconcileOutcome,
    snapshot::{self, differences},
    specs::{full, minimal, with},
};
use k8s_openapi::{
    api::{batch::v1::Job, core::v1::Service},
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{ResourceExt, api::DeleteParams};
use serde_json::{Value, json};

/// Applies a spec with a missing Secret or key, asserts the conditions, and then applies the full spec. The objects must equal those of a
/// shop that only had the full spec. Runs for a new shop, and for one that is ready and keeps serving with the last applied spec.
async fn assert_recovery_from(stem: &str, bad: &Value, reason: &str, parts: &[&str]) {
    let mut unaffected = Operator::new(stem).await;
    unaffected.apply(&full()).await.unwrap();
    unaffected.reconcile_until_ready().await;
    let reference = snapshot::take(unaffected.namespace()).await;

    let new = Operator::new(stem).await;
    let mut ready = Operator::new(stem).await;
    ready.apply(&full()).await.unwrap();
    ready.reconcile_until_ready().await;
    for (mut operator, serves) in [(new, false), (ready, true)] {
        operator.apply(bad).await.unwrap();
        operator.reconcile_until_idle().await;
        let ready_reason = if serves { "LastAppliedSpecServes" } else { reason };
        let expected =
            [("Ready", serves, ready_reason), ("Degraded", true, reason), ("Complete", false, reason), ("Progressing", false, "Refused")];
        for (kind, holds, reason) in expected {
            let condition = operator.condition(kind).await;
            assert_eq!((condition.is_true, condition.reason.as_str()), (holds, reason), "{kind}: {condition:?}");
            let names_all = parts.iter().all(|part| condition.message.contains(part));
            assert!(names_all || !["Degraded", "Complete"].contains(&kind), "{kind}: {condition:?}");
            println!("{kind} is {}: {}: {}", condition.is_true, condition.reason, condition.message);
        }
        operator.apply(&full()).await.unwrap();
        operator.reconcile_until_ready().await;
        assert_eq!(differences(&reference, &snapshot::take(operator.namespace()).await), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_missing_secret_is_reported_and_the_shop_serves_with_the_last_applied_spec() {
    let bad = with(full(), "/mail/credentialsSecretRef/name", json!("nowhere"));
    assert_recovery_from("no-secret", &bad, "SecretNotFound", &["spec.mail.credentialsSecretRef", "Secret nowhere not found"]).await;
}

#[tokio::test]
async fn a_missing_superuser_secret_is_reported_and_the_shop_serves_with_the_last_applied_spec() {
    let bad = with(full(), "/auth", json!({"superuserSecretRef": {"name": "nowhere"}}));
    assert_recovery_from("no-admin", &bad, "SecretNotFound", &["spec.auth.superuserSecretRef", "Secret nowhere not found"]).await;
}

#[tokio::test]
async fn a_missing_key_of_a_secret_is_reported_and_the_shop_serves_with_the_last_applied_spec() {
    let bad = with(full(), "/mail/credentialsSecretRef/passwordKey", json!("nowhere"));
    assert_recovery_from("no-key", &bad, "SecretKeyMissing", &["spec.mail.credentialsSecretRef", "nowhere"]).await;
}

#[tokio::test]
async fn a_rejected_spec_does_not_make_an_unavailable_shop_ready() {
    let mut operator = Operator::new("rejected-down").await;
    operator.apply(&full()).await.unwrap();
    operator.reconcile_until_ready().await;
    operator.apply(&with(full(), "/mail/credentialsSecretRef/name", json!("nowhere"))).await.unwrap();
    operator.reconcile_until_idle().await;
    operator.controllers().mark_pods_unavailable("shop-api").await;
    assert!(matches!(operator.reconcile().await, ReconcileOutcome::Succeeded));
    let condition = operator.condition("Ready").await;
    assert_eq!((condition.is_true, condition.reason.as_str()), (false, "SecretNotFound"), "{condition:?}");
}

#[tokio::test]
async fn the_shop_becomes_ready_after_a_missing_secret_is_created() {
    let mut operator = Operator::new("later").await;
    operator.apply(&with(full(), "/mail/credentialsSecretRef/name", json!("late"))).await.unwrap();
    operator.reconcile_until_idle().await;
    assert_eq!(operator.condition("Ready").await.reason, "SecretNotFound");
    operator.write_secret("late", &[("username", "shop"), ("password", "secret")]).await;
    operator.reconcile_until_ready().await;
}

#[tokio::test]
async fn a_failed_migration_blocks_the_workloads_until_another_release() {
    let mut operator = Operator::new("migration").await;
    operator.apply(&full()).await.unwrap();
    for _ in 0..3 {
        assert!(matches!(operator.reconcile().await, ReconcileOutcome::Succeeded));
        operator.controllers().roll_out_stateful_sets().await;
        operator.controllers().finish_jobs(JobEnd::Failed).await;
    }
    let condition = operator.condition("Migrated").await;
    assert!(!condition.is_true && condition.reason == "MigrationFailed", "{condition:?}");
    assert!(!operator.recorder().writes().iter().any(|call| call.path.starts_with("deployments")), "no workload is applied");
    operator.apply(&with(full(), "/image/tag", json!("1.2.4"))).await.unwrap();
    operator.reconcile_until_ready().await;
}

#[tokio::test]
async fn pods_that_cannot_start_are_reported() {
    let mut operator = Operator::new("image-pull").await;
    operator.apply(&full()).await.unwrap();
    operator.reconcile_until_ready().await;
    operator.controllers().mark_pods_unavailable("shop-api").await;
    operator.controllers().create_waiting_pod("shop-api", "ImagePullBackOff", "Back-off pulling image").await;
    assert!(matches!(operator.reconcile().await, ReconcileOutcome::Succeeded));
    let condition = operator.condition("ApiAvailable").await;
    assert!(
        !condition.is_true && condition.reason.contains("ImagePull") && condition.message.contains("Back-off pulling image"),
        "{condition:?}"
    );
    assert!(!operator.condition("Ready").await.is_true);
}

#[tokio::test]
async fn a_rollout_whose_new_pods_cannot_start_is_reported_while_old_pods_run() {
    let mut operator = Operator::new("stuck-rollout").await;
    operator.apply(&full()).await.unwrap();
    operator.reconcile_until_ready().await;
    operator.apply(&with(full(), "/notifier/nodeSelector", json!({"disk": "none"}))).await.unwrap();
    assert!(matches!(operator.reconcile().await, ReconcileOutcome::Succeeded));
    operator.controllers().create_waiting_pod("shop-notifier", "ImagePullBackOff", "Back-off pulling image").await;
    assert!(matches!(operator.reconcile().await, ReconcileOutcome::Succeeded));
    let ready = operator.condition("Ready").await;
    assert!(ready.is_true && ready.message == "the shop serves; see Degraded", "the old pod is available: {ready:?}");
    let condition = operator.condition("Degraded").await;
    assert!(condition.is_true && condition.message.contains("Back-off pulling image"), "{condition:?}");
}

#[tokio::test]
async fn a_pending_migration_is_deleted_before_the_next_one_is_created() {
    let mut operator = Operator::new("superseded").await;
    operator.apply(&full()).await.unwrap();
    operator.reconcile().await;
    let namespace = operator.namespace().clone();
    let jobs = async || namespace.all::<Job>().await.iter().map(ResourceExt::name_any).collect::<Vec<_>>();
    let before = jobs().await;
    assert_eq!(before.len(), 1);
    operator.apply(&with(full(), "/image/tag", json!("1.2.4"))).await.unwrap();
    operator.reconcile().await;
    let after = jobs().await;
    assert!(after.len() == 1 && after != before, "{before:?}, then {after:?}");
}

#[tokio::test]
async fn a_failed_read_keeps_the_reported_status() {
    let mut operator = Operator::new("unread").await;
    operator.apply(&full()).await.unwrap();
    operator.reconcile_until_ready().await;
    let before = operator.catalog().await.unwrap().status.unwrap();
    operator.recorder().reset();
    operator.recorder().plan(Call { verb: Verb::GET, path: "deployments".into(), occurrence: 1 }, Fault::NotSent);
    assert!(matches!(operator.reconcile().await, ReconcileOutcome::Failed(_)));
    assert_eq!(operator.recorder().injected(), 1);
    let after = operator.catalog().await.unwrap().status.unwrap();
    assert_eq!((after.replicas, after.version), (before.replicas, before.version));
    for kind in ["DatabaseReady", "Migrated", "ApiAvailable", "Complete"] {
        let of = |conditions: &[Condition]| conditions.iter().find(|condition| condition.type_ == kind).cloned();
        assert_eq!(of(&after.conditions), of(&before.conditions));
        assert!(of(&after.conditions).is_some());
    }
    assert!(!operator.condition("Ready").await.is_true);
}

/// Removes the autoscaler of the API, and what `more` adds, from a ready shop. The first deletion of that autoscaler fails with a
/// conflict, as after a write of another client.
async fn remove_autoscalers_with_a_conflict(operator: &mut Operator, more: impl FnOnce(Value) -> Value) {
    let api = json!({"autoscaling": {"minReplicas": 2, "maxReplicas": 5, "targetCPUUtilizationPercentage": 70}});
    operator.apply(&more(with(minimal(), "/api", api))).await.unwrap();
    operator.reconcile_until_ready().await;
    operator.apply(&minimal()).await.unwrap();
    operator.recorder().reset();
    operator.recorder().plan(Call { verb: Verb::DELETE, path: "horizontalpodautoscalers/shop-api".into(), occurrence: 1 }, Fault::Conflict);
    assert!(matches!(operator.reconcile().await, ReconcileOutcome::Succeeded));
    assert_eq!(operator.recorder().injected(), 1);
}

#[tokio::test]
async fn a_conflict_with_another_client_does_not_degrade_the_catalog() {
    let mut operator = Operator::new("conflict").await;
    remove_autoscalers_with_a_conflict(&mut operator, |spec| spec).await;
    let condition = operator.condition("Degraded").await;
    assert!(!condition.is_true, "{condition:?}");
    operator.reconcile_until_ready().await;
}

#[tokio::test]
async fn pruned_objects_are_not_restored_while_another_deletion_fails() {
    let mut operator = Operator::new("deletion").await;
    let tracker = json!({"autoscaling": {"minReplicas": 1, "maxReplicas": 3, "lagThreshold": 50}});
    // The autoscaler of the API is deleted last.
    remove_autoscalers_with_a_conflict(&mut operator, |spec| with(spec, "/tracker", tracker)).await;
    let writes = operator.recorder().writes();
    assert!(writes.iter().any(|call| call.verb == Verb::DELETE && call.path.starts_with("scaledobjects/")), "{writes:?}");
    assert!(!writes.iter().any(|call| call.verb != Verb::DELETE && call.path.starts_with("scaledobjects/")), "{writes:?}");
    operator.reconcile_until_ready().await;
}

#[tokio::test]
async fn a_foreign_object_with_a_needed_name_is_reported_and_not_changed() {
    let mut operator = Operator::new("taken").await;
    let foreign = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop-api"},
        "spec": {"ports": [{"port": 1}], "selector": {"app": "another"}},
    });
    operator.namespace().apply(&foreign).await.unwrap();
    operator.apply(&full()).await.unwrap();
    for _ in 0..4 {
        operator.reconcile().await;
        operator.controllers().complete_all().await;
    }
    let condition = operator.condition("Ready").await;
    assert!(!condition.is_true && condition.reason == "NameTaken", "{condition:?}");
    assert!(condition.message.contains("Service shop-api"), "{condition:?}");
    let services = operator.namespace().api::<Service>();
    assert_eq!(services.get("shop-api").await.unwrap().spec.unwrap().selector.unwrap()["app"], "another");
    services.delete("shop-api", &DeleteParams::default()).await.unwrap();
    operator.reconcile_until_ready().await;
}
