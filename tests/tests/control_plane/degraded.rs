//! Within ten seconds of each fault the Catalog is degraded with the cause, and not ready if requests of clients fail. The
//! conditions recover when the fault ends.
//!
//! To add a fault, add a variant to [`Fault`] and an arm to each of its methods.

use std::time::Duration;

use catalog_operator::crd::{Catalog, CatalogStatus};
use catalog_tests::{
    control_plane::{
        FakeControllers, Namespace, RunningOperator,
        fake_controllers::{JobEnd, Notifier},
        operator::{NAME, catalog},
        specs::{minimal, with},
    },
    wait::{check, within},
};
use futures::{StreamExt, stream};
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    batch::v1::Job,
    core::v1::{PersistentVolumeClaim, Secret},
};
use kube::{
    ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::time::Instant;

/// The time within which the status must report a fault.
const DETECTION_LIMIT: Duration = Duration::from_secs(10);
/// The time within which a Catalog becomes ready, at first and after a fault, also beside tests that use all processors.
const RECOVERY_LIMIT: Duration = Duration::from_secs(90);

#[derive(Debug, Clone, Copy)]
enum Fault {
    ApiPodsNotReady,
    ApiImageNotPulled,
    NotifierCrashLoop,
    MigrationFailed,
    DatabasePodNotReady,
    MessagingPodNotReady,
    SecretDeleted,
    SigningKeyUnreadable,
    MailServerUnavailable,
    ApiPodsExceedQuota,
    DatabasePodExceedsQuota,
    DatabaseClaimDeleted,
    DatabaseVolumeLost,
    ApiScaledToZero,
}

const FAULTS: [Fault; 14] = [
    Fault::ApiPodsNotReady,
    Fault::ApiImageNotPulled,
    Fault::NotifierCrashLoop,
    Fault::MigrationFailed,
    Fault::DatabasePodNotReady,
    Fault::MessagingPodNotReady,
    Fault::SecretDeleted,
    Fault::SigningKeyUnreadable,
    Fault::MailServerUnavailable,
    Fault::ApiPodsExceedQuota,
    Fault::DatabasePodExceedsQuota,
    Fault::DatabaseClaimDeleted,
    Fault::DatabaseVolumeLost,
    Fault::ApiScaledToZero,
];

const QUOTA: &str = r#"pods "x" is forbidden: exceeded quota: team, requested: pods=1, used: pods=4, limited: pods=4"#;
const CLAIM: &str = "shop-postgres-data";

impl Fault {
    /// Whether requests of clients fail. After a failed migration the previous release serves; mail is sent in the background; running
    /// pods keep the values of a deleted Secret, and have another signing key.
    fn affects_clients(self) -> bool {
        !matches!(self, Self::MigrationFailed | Self::MailServerUnavailable | Self::SecretDeleted | Self::SigningKeyUnreadable)
    }

    fn spec(self) -> Value {
        let spec = with(minimal(), "/mail/credentialsSecretRef", json!({"name": "mail"}));
        let autoscaling = json!({"minReplicas": 2, "maxReplicas": 5, "targetCPUUtilizationPercentage": 70});
        if matches!(self, Self::ApiScaledToZero) { with(spec, "/api", json!({"autoscaling": autoscaling})) } else { spec }
    }

    /// Returns a part of `reason: message` of the condition `Degraded`.
    fn cause(self) -> &'static str {
        match self {
            Self::ApiPodsNotReady => "0 of 2 pods are available",
            Self::ApiImageNotPulled => "pull access denied",
            Self::NotifierCrashLoop => "back-off 40s restarting failed container",
            Self::MigrationFailed => "MigrationFailed: ",
            Self::DatabasePodNotReady => "DatabaseReady: its pod",
            Self::MessagingPodNotReady => "MessagingReady: its pod",
            Self::SecretDeleted => "Secret mail",
            Self::SigningKeyUnreadable => "SigningKeyUnreadable: Secret shop-signing-keys: 20260101T000000Z-a.pem is not a private key",
            Self::MailServerUnavailable => "421 too busy",
            Self::ApiPodsExceedQuota => "FailedCreate: Deployment shop-api: pods \"x\" is forbidden: exceeded quota: team",
            Self::DatabasePodExceedsQuota => "FailedCreate: StatefulSet shop-postgres: pods \"x\" is forbidden: exceeded quota: team",
            Self::DatabaseClaimDeleted => "VolumeLost: PersistentVolumeClaim shop-postgres-data (uid",
            Self::DatabaseVolumeLost => "VolumeLost: PersistentVolumeClaim shop-postgres-data (storage class",
            Self::ApiScaledToZero => "ScaledBelowMinimum: Deployment shop-api",
        }
    }

    async fn begin(self, namespace: &Namespace, controllers: &FakeControllers) {
        match self {
            Self::ApiPodsNotReady => controllers.mark_pods_unavailable("shop-api").await,
            Self::ApiImageNotPulled => {
                controllers.create_waiting_pod("shop-api", "ImagePullBackOff", "pull access denied for catalog").await;
                controllers.mark_pods_unavailable("shop-api").await;
            }
            Self::NotifierCrashLoop => {
                controllers.create_waiting_pod("shop-notifier", "CrashLoopBackOff", "back-off 40s restarting failed container").await;
                controllers.mark_pods_unavailable("shop-notifier").await;
            }
            Self::MigrationFailed => {
                namespace.apply(&catalog(&with(self.spec(), "/image/tag", json!("9.9.9")))).await.unwrap();
                within(DETECTION_LIMIT, "the new migration exists", async || {
                    let failed = controllers.finish_jobs(JobEnd::Failed).await;
                    check(failed == 1, || "no Job was unfinished")
                })
                .await;
            }
            Self::DatabasePodNotReady => controllers.mark_pod_not_ready("shop-postgres").await,
            Self::MessagingPodNotReady => controllers.mark_pod_not_ready("shop-nats").await,
            Self::SecretDeleted => {
                namespace.api::<Secret>().delete("mail", &DeleteParams::default()).await.unwrap();
            }
            Self::SigningKeyUnreadable => set_signing_key(namespace, Some("dHJ1bmNhdGVk")).await,
            Self::MailServerUnavailable => {
                let notifier = Notifier::start().await;
                notifier.set_mail_report("[-] mail server: 421 too busy");
                controllers.run_notifier("shop-notifier", &notifier).await;
                controllers.mark_pods_unavailable("shop-notifier").await;
                controllers.complete_all().await;
                // It must serve until the test ends.
                std::mem::forget(notifier);
            }
            Self::ApiPodsExceedQuota => {
                controllers.mark_pods_unavailable("shop-api").await;
                controllers.set_deployment_condition("shop-api", "ReplicaFailure", "True", "FailedCreate", QUOTA).await;
            }
            Self::DatabasePodExceedsQuota => {
                controllers.publish_warning::<StatefulSet>("shop-postgres", "FailedCreate", QUOTA).await;
                controllers.mark_pod_missing("shop-postgres").await;
            }
            Self::DatabaseClaimDeleted => {
                let claims = namespace.api::<PersistentVolumeClaim>();
                claims.delete(CLAIM, &DeleteParams::default()).await.unwrap();
                controllers.mark_pod_missing("shop-postgres").await;
                // Kubernetes removes the finalizer once no pod uses the claim.
                let unprotected = Patch::Merge(json!({"metadata": {"finalizers": null}}));
                claims.patch(CLAIM, &PatchParams::default(), &unprotected).await.unwrap();
            }
            Self::DatabaseVolumeLost => {
                let lost = Patch::Merge(json!({"status": {"phase": "Lost"}}));
                namespace.api::<PersistentVolumeClaim>().patch_status(CLAIM, &PatchParams::default(), &lost).await.unwrap();
                controllers.mark_pod_not_ready("shop-postgres").await;
            }
            Self::ApiScaledToZero => {
                controllers.mark_pods_unavailable("shop-api").await;
                controllers.scale("shop-api", 0).await;
            }
        }
    }

    async fn end(self, namespace: &Namespace, controllers: &FakeControllers) {
        match self {
            Self::ApiImageNotPulled | Self::NotifierCrashLoop | Self::MailServerUnavailable => controllers.delete_pods().await,
            Self::MigrationFailed => {
                for job in namespace.all::<Job>().await {
                    namespace.api::<Job>().delete(&job.name_any(), &DeleteParams::background()).await.unwrap();
                }
            }
            Self::SecretDeleted => write_secret(namespace).await,
            Self::SigningKeyUnreadable => set_signing_key(namespace, None).await,
            // As a user restores it from a snapshot.
            Self::DatabaseClaimDeleted => {
                let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}});
                let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": CLAIM}, "spec": spec});
                namespace.apply(&claim).await.unwrap();
            }
            Self::ApiPodsNotReady
            | Self::DatabasePodNotReady
            | Self::MessagingPodNotReady
            | Self::ApiPodsExceedQuota
            | Self::DatabasePodExceedsQuota
            | Self::DatabaseVolumeLost
            | Self::ApiScaledToZero => {}
        }
    }
}

async fn write_secret(namespace: &Namespace) {
    let data = json!({"username": "shop", "password": "secret"});
    namespace.apply(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mail"}, "stringData": data})).await.unwrap();
}

/// Sets an entry of the Secret of signing keys, or removes it.
async fn set_signing_key(namespace: &Namespace, base64: Option<&str>) {
    let data = Patch::Merge(json!({"data": {"20260101T000000Z-a.pem": base64}}));
    namespace.api::<Secret>().patch("shop-signing-keys", &PatchParams::default(), &data).await.unwrap();
}

async fn status(namespace: &Namespace) -> CatalogStatus {
    namespace.api::<Catalog>().get(NAME).await.unwrap().status.unwrap_or_default()
}

fn is(status: &CatalogStatus, kind: &str, value: &str) -> bool {
    status.conditions.iter().any(|condition| condition.type_ == kind && condition.status == value)
}

async fn wait_until_ready(namespace: &Namespace, controllers: &FakeControllers) {
    within(RECOVERY_LIMIT, "the Catalog is ready and not degraded", async || {
        controllers.complete_all().await;
        let status = status(namespace).await;
        check(is(&status, "Ready", "True") && is(&status, "Degraded", "False"), || format!("{:?}", status.conditions))
    })
    .await;
}

/// Returns the seconds until the status reported the fault, and until it reported the end.
async fn measure(operator: &RunningOperator, fault: Fault) -> (Fault, f64, f64) {
    let namespace = operator.namespace("faulty").await;
    let controllers = FakeControllers::new(&namespace);
    write_secret(&namespace).await;
    namespace.apply(&catalog(&fault.spec())).await.unwrap();
    wait_until_ready(&namespace, &controllers).await;

    fault.begin(&namespace, &controllers).await;
    let began = Instant::now();
    within(DETECTION_LIMIT, &format!("the status reports {fault:?}"), async || {
        let status = status(&namespace).await;
        let is_ready = !is(&status, "Ready", "False");
        let degraded = status.conditions.iter().find(|condition| condition.type_ == "Degraded" && condition.status == "True");
        let has_cause = degraded.is_some_and(|found| format!("{}: {}", found.reason, found.message).contains(fault.cause()));
        check(has_cause && !(is_ready && fault.affects_clients()), || format!("{:?}", status.conditions))
    })
    .await;
    let detected = began.elapsed().as_secs_f64();

    let ended = Instant::now();
    fault.end(&namespace, &controllers).await;
    wait_until_ready(&namespace, &controllers).await;
    (fault, detected, ended.elapsed().as_secs_f64())
}

#[tokio::test]
async fn the_status_reports_each_fault_and_its_end_in_time() {
    let operator = RunningOperator::start().await;
    let measured: Vec<_> = stream::iter(FAULTS).map(|fault| measure(&operator, fault)).buffered(4).collect().await;
    println!("{:<24} {:>12} {:>9}", "fault", "detected", "recovered");
    for (fault, detected, recovered) in measured {
        println!("{:<24} {detected:>10.1} s {recovered:>7.1} s", format!("{fault:?}"));
    }
}
