//! Recovers: what cannot be done is said, and a good spec then works without help.

use catalog_tests::control_plane::{
    Call, Fault, Operator,
    fake_controllers::JobEnd,
    operator::Ended,
    snapshot::{self, differences},
    specs::{full, minimal, with},
    wire::Verb,
};
use k8s_openapi::{
    api::{batch::v1::Job, core::v1::Service},
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{ResourceExt, api::DeleteParams};
use serde_json::{Value, json};

/// A shop with a bad spec at first, and the full one afterwards, ends as if it had always had that.
async fn recovers_from(stem: &str, bad: &Value, expected: &[(&str, bool, &str, &str)]) {
    let mut straight = Operator::new(stem).await;
    straight.apply(&full()).await.unwrap();
    straight.settle().await;
    let reference = snapshot::take(straight.namespace()).await;

    let before_first = Operator::new(stem).await;
    let mut after_good = Operator::new(stem).await;
    after_good.apply(&full()).await.unwrap();
    after_good.settle().await;
    for mut operator in [before_first, after_good] {
        operator.apply(bad).await.unwrap();
        operator.come_to_rest().await;
        for (kind, holds, reason, part) in expected {
            let said = operator.condition(kind).await;
            assert!(said.holds == *holds && said.reason == *reason && said.message.contains(part), "{kind}: {said:?}");
            println!("{kind} is {}: {}: {}", said.holds, said.reason, said.message);
        }
        operator.apply(&full()).await.unwrap();
        operator.settle().await;
        assert_eq!(differences(&reference, &snapshot::take(operator.namespace()).await), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_secret_that_doesnt_exist_is_named() {
    let bad = with(full(), "/mail/credentialsSecretRef/name", json!("nowhere"));
    let path = "spec.mail.credentialsSecretRef";
    recovers_from(
        "no-secret",
        &bad,
        &[("Ready", false, "SecretNotFound", path), ("Degraded", true, "SecretNotFound", "nowhere"), ("Progressing", false, "Refused", "")],
    )
    .await;
}

#[tokio::test]
async fn a_key_that_a_secret_lacks_is_named() {
    let bad = with(full(), "/mail/credentialsSecretRef/passwordKey", json!("nowhere"));
    recovers_from(
        "no-key",
        &bad,
        &[("Ready", false, "SecretKeyMissing", "spec.mail.credentialsSecretRef"), ("Degraded", true, "SecretKeyMissing", "nowhere")],
    )
    .await;
}

#[tokio::test]
async fn a_secret_that_comes_later_is_enough() {
    let mut operator = Operator::new("later").await;
    operator.apply(&with(full(), "/mail/credentialsSecretRef/name", json!("late"))).await.unwrap();
    operator.come_to_rest().await;
    assert_eq!(operator.condition("Ready").await.reason, "SecretNotFound");
    operator.write_secret("late", &[("username", "shop"), ("password", "secret")]).await;
    operator.settle().await;
}

#[tokio::test]
async fn a_migration_that_failed_holds_the_workloads_back_until_another_release() {
    let mut operator = Operator::new("migration").await;
    operator.apply(&full()).await.unwrap();
    for _ in 0..3 {
        assert!(matches!(operator.reconcile().await, Ended::Well));
        operator.controllers().roll_out_stateful_sets().await;
        operator.controllers().finish_jobs(JobEnd::Failed).await;
    }
    let said = operator.condition("Migrated").await;
    assert!(!said.holds && said.reason == "MigrationFailed", "{said:?}");
    assert!(!operator.wire().writes().iter().any(|call| call.path.starts_with("deployments")), "the workloads wait");
    operator.apply(&with(full(), "/image/tag", json!("1.2.4"))).await.unwrap();
    operator.settle().await;
}

#[tokio::test]
async fn pods_that_cannot_start_are_named() {
    let mut operator = Operator::new("image-pull").await;
    operator.apply(&full()).await.unwrap();
    operator.settle().await;
    operator.controllers().lose_all_pods_of("shop-api").await;
    operator.controllers().pod_that_cannot_start("shop-api", "ImagePullBackOff", "Back-off pulling image").await;
    assert!(matches!(operator.reconcile().await, Ended::Well));
    let said = operator.condition("ApiAvailable").await;
    assert!(!said.holds && said.reason.contains("ImagePull") && said.message.contains("Back-off pulling image"), "{said:?}");
    assert!(!operator.condition("Ready").await.holds);
}

#[tokio::test]
async fn pods_that_cannot_start_beside_those_that_work_are_named() {
    let mut operator = Operator::new("stuck-rollout").await;
    operator.apply(&full()).await.unwrap();
    operator.settle().await;
    operator.apply(&with(full(), "/notifier/nodeSelector", json!({"disk": "none"}))).await.unwrap();
    assert!(matches!(operator.reconcile().await, Ended::Well));
    operator.controllers().pod_that_cannot_start("shop-notifier", "ImagePullBackOff", "Back-off pulling image").await;
    assert!(matches!(operator.reconcile().await, Ended::Well));
    assert!(operator.condition("Ready").await.holds, "the old pod works");
    let said = operator.condition("Degraded").await;
    assert!(said.holds && said.message.contains("Back-off pulling image"), "{said:?}");
}

#[tokio::test]
async fn a_migration_that_waits_is_gone_before_the_next_one() {
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
async fn what_could_not_be_read_is_not_said_to_be_gone() {
    let mut operator = Operator::new("unread").await;
    operator.apply(&full()).await.unwrap();
    operator.settle().await;
    let before = operator.catalog().await.unwrap().status.unwrap();
    operator.wire().begin();
    operator.wire().plan(Call { verb: Verb::GET, path: "deployments".into(), occurrence: 1 }, Fault::Refused);
    assert!(matches!(operator.reconcile().await, Ended::Failed(_)));
    assert_eq!(operator.wire().injected(), 1);
    let after = operator.catalog().await.unwrap().status.unwrap();
    assert_eq!((after.replicas, after.version), (before.replicas, before.version));
    for kind in ["DatabaseReady", "Migrated", "ApiAvailable", "Complete"] {
        let of = |conditions: &[Condition]| conditions.iter().find(|condition| condition.type_ == kind).cloned();
        assert_eq!(of(&after.conditions), of(&before.conditions));
        assert!(of(&after.conditions).is_some());
    }
    assert!(!operator.condition("Ready").await.holds);
}

/// A shop that had an autoscaler of its API, and what `more` adds, becomes one without. The API server rejects the first attempt to delete
/// that autoscaler, because another client has written it.
async fn remove_autoscalers_with_a_conflict(operator: &mut Operator, more: impl FnOnce(Value) -> Value) {
    let api = json!({"autoscaling": {"minReplicas": 2, "maxReplicas": 5, "targetCPUUtilizationPercentage": 70}});
    operator.apply(&more(with(minimal(), "/api", api))).await.unwrap();
    operator.settle().await;
    operator.apply(&minimal()).await.unwrap();
    operator.wire().begin();
    operator.wire().plan(Call { verb: Verb::DELETE, path: "horizontalpodautoscalers/shop-api".into(), occurrence: 1 }, Fault::Conflict);
    assert!(matches!(operator.reconcile().await, Ended::Well));
    assert_eq!(operator.wire().injected(), 1);
}

#[tokio::test]
async fn an_object_that_another_client_wrote_meanwhile_is_no_failure() {
    let mut operator = Operator::new("conflict").await;
    remove_autoscalers_with_a_conflict(&mut operator, |spec| spec).await;
    let said = operator.condition("Degraded").await;
    assert!(!said.holds, "{said:?}");
    operator.settle().await;
}

#[tokio::test]
async fn what_was_deleted_is_not_restored_while_another_deletion_fails() {
    let mut operator = Operator::new("deletion").await;
    let tracker = json!({"autoscaling": {"minReplicas": 1, "maxReplicas": 3, "lagThreshold": 50}});
    // The autoscaler of the API is deleted last.
    remove_autoscalers_with_a_conflict(&mut operator, |spec| with(spec, "/tracker", tracker)).await;
    let writes = operator.wire().writes();
    assert!(writes.iter().any(|call| call.verb == Verb::DELETE && call.path.starts_with("scaledobjects/")), "{writes:?}");
    assert!(!writes.iter().any(|call| call.verb != Verb::DELETE && call.path.starts_with("scaledobjects/")), "{writes:?}");
    operator.settle().await;
}

#[tokio::test]
async fn a_name_that_is_taken_is_left_alone_and_named() {
    let mut operator = Operator::new("taken").await;
    let foreign = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop-api"},
        "spec": {"ports": [{"port": 1}], "selector": {"app": "another"}},
    });
    operator.namespace().apply(&foreign).await.unwrap();
    operator.apply(&full()).await.unwrap();
    for _ in 0..4 {
        operator.reconcile().await;
        operator.controllers().everything_goes_well().await;
    }
    let said = operator.condition("Ready").await;
    assert!(!said.holds && said.reason == "NameTaken", "{said:?}");
    assert!(said.message.contains("Service shop-api"), "{said:?}");
    let services = operator.namespace().api::<Service>();
    assert_eq!(services.get("shop-api").await.unwrap().spec.unwrap().selector.unwrap()["app"], "another");
    services.delete("shop-api", &DeleteParams::default()).await.unwrap();
    operator.settle().await;
}
