//! Recovers: what cannot be done is said, and a good spec then works without help.

use catalog_tests::control_plane::{
    Operator,
    operator::Ended,
    played::JobEnd,
    snapshot::{self, differences},
    specs::{full, with},
};
use k8s_openapi::api::core::v1::Service;
use kube::api::DeleteParams;
use serde_json::{Value, json};

/// The status of a condition, its reason and its message.
async fn condition(operator: &Operator, kind: &str) -> (String, String, String) {
    let status = operator.catalog().await.unwrap().status.unwrap_or_default();
    let found = status.conditions.into_iter().find(|condition| condition.type_ == kind);
    let found = found.unwrap_or_else(|| panic!("there is no condition {kind}"));
    (found.status, found.reason, found.message)
}

/// A shop with a bad spec at first, and the full one afterwards, ends as if it had always had that.
async fn recovers_from(stem: &str, bad: &Value, expected: &[(&str, &str, &str, &str)]) {
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
        operator.settle().await;
        for (kind, status, reason, part) in expected {
            let (is, why, message) = condition(&operator, kind).await;
            assert!(is == *status && why == *reason && message.contains(part), "{kind} is {is} {why}: {message}");
            println!("{kind} is {is} {why}: {message}");
        }
        operator.apply(&full()).await.unwrap();
        operator.settle().await;
        let (is, why, message) = condition(&operator, "Ready").await;
        assert_eq!(is, "True", "{why}: {message}");
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
        &[
            ("Ready", "False", "SecretNotFound", path),
            ("Degraded", "True", "SecretNotFound", "nowhere"),
            ("Progressing", "False", "Refused", ""),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_key_that_a_secret_lacks_is_named() {
    let bad = with(full(), "/mail/credentialsSecretRef/passwordKey", json!("nowhere"));
    recovers_from(
        "no-key",
        &bad,
        &[("Ready", "False", "SecretKeyMissing", "spec.mail.credentialsSecretRef"), ("Degraded", "True", "SecretKeyMissing", "nowhere")],
    )
    .await;
}

#[tokio::test]
async fn a_secret_that_comes_later_is_enough() {
    let mut operator = Operator::new("later").await;
    operator.apply(&with(full(), "/mail/credentialsSecretRef/name", json!("late"))).await.unwrap();
    operator.settle().await;
    assert_eq!(condition(&operator, "Ready").await.1, "SecretNotFound");
    operator.write_secret("late", &[("username", "shop"), ("password", "secret")]).await;
    operator.settle().await;
    assert_eq!(condition(&operator, "Ready").await.0, "True");
}

#[tokio::test]
async fn a_migration_that_failed_holds_the_workloads_back_until_another_release() {
    let mut operator = Operator::new("migration").await;
    operator.apply(&full()).await.unwrap();
    for _ in 0..3 {
        assert!(matches!(operator.reconcile().await, Ended::Well));
        operator.played().roll_out_stateful_sets().await;
        operator.played().finish_jobs(JobEnd::Failed).await;
    }
    let (is, reason, message) = condition(&operator, "Migrated").await;
    assert_eq!((is.as_str(), reason.as_str()), ("False", "MigrationFailed"), "{message}");
    assert!(!operator.wire().writes().iter().any(|call| call.path.starts_with("deployments")), "the workloads wait");
    operator.apply(&with(full(), "/image/tag", json!("1.2.4"))).await.unwrap();
    operator.settle().await;
    assert_eq!(condition(&operator, "Ready").await.0, "True");
}

#[tokio::test]
async fn pods_that_cannot_start_are_named() {
    let mut operator = Operator::new("image-pull").await;
    operator.apply(&full()).await.unwrap();
    operator.settle().await;
    operator.played().lose_all_pods_of("shop-api").await;
    operator.played().pod_that_cannot_start("shop-api", "ImagePullBackOff", "Back-off pulling image").await;
    assert!(matches!(operator.reconcile().await, Ended::Well));
    let (is, reason, message) = condition(&operator, "ApiAvailable").await;
    assert_eq!(is, "False");
    assert!(reason.contains("ImagePull") && message.contains("Back-off pulling image"), "{reason}: {message}");
    assert_eq!(condition(&operator, "Ready").await.0, "False");
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
        operator.played().everything_goes_well().await;
    }
    let (is, reason, message) = condition(&operator, "Ready").await;
    assert_eq!((is.as_str(), reason.as_str()), ("False", "NameTaken"), "{message}");
    assert!(message.contains("Service shop-api"), "{message}");
    let services = operator.namespace().api::<Service>();
    assert_eq!(services.get("shop-api").await.unwrap().spec.unwrap().selector.unwrap()["app"], "another");
    services.delete("shop-api", &DeleteParams::default()).await.unwrap();
    operator.settle().await;
    assert_eq!(condition(&operator, "Ready").await.0, "True");
}
