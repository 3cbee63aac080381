//! Honest: within ten seconds of every fault the Catalog is degraded with the cause, and not ready if clients notice the fault. It
//! recovers when the fault has ended.
//!
//! A new fault is a variant of [`Fault`] and an arm in each of its methods.

use std::time::Duration;

use catalog_operator::crd::{Catalog, CatalogStatus};
use catalog_tests::{
    control_plane::{
        FakeControllers, Namespace, Watched,
        fake_controllers::{JobEnd, Notifier},
        operator::{NAME, catalog},
        specs::{minimal, with},
    },
    wait::{holds, within},
};
use futures::future::join_all;
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

/// How long the status may say that a shop with a fault works.
const LIMIT: Duration = Duration::from_secs(10);
/// How long the status may report a fault that has ended.
const HEALED: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy)]
enum Fault {
    ApiPodsNotReady,
    ApiImageNotPulled,
    NotifierCrashLoop,
    MigrationFailed,
    DatabasePodNotReady,
    MessagingPodNotReady,
    SecretDeleted,
    MailServerUnavailable,
    ApiPodsExceedQuota,
    DatabasePodExceedsQuota,
    DatabaseClaimDeleted,
    DatabaseVolumeLost,
    ApiScaledToZero,
}

const FAULTS: [Fault; 13] = [
    Fault::ApiPodsNotReady,
    Fault::ApiImageNotPulled,
    Fault::NotifierCrashLoop,
    Fault::MigrationFailed,
    Fault::DatabasePodNotReady,
    Fault::MessagingPodNotReady,
    Fault::SecretDeleted,
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
    /// Whether requests fail. While a new migration fails, the release before it serves; mail is sent in the background.
    fn is_noticed_by_clients(self) -> bool {
        !matches!(self, Self::MigrationFailed | Self::MailServerUnavailable)
    }

    fn spec(self) -> Value {
        let spec = with(minimal(), "/mail/credentialsSecretRef", json!({"name": "mail"}));
        let autoscaling = json!({"minReplicas": 2, "maxReplicas": 5, "targetCPUUtilizationPercentage": 70});
        if matches!(self, Self::ApiScaledToZero) { with(spec, "/api", json!({"autoscaling": autoscaling})) } else { spec }
    }

    /// What reason and message of `Degraded` have to contain.
    fn cause(self) -> &'static str {
        match self {
            Self::ApiPodsNotReady => "0 of 2 pods are available",
            Self::ApiImageNotPulled => "pull access denied",
            Self::NotifierCrashLoop => "back-off 40s restarting failed container",
            Self::MigrationFailed => "MigrationFailed: ",
            Self::DatabasePodNotReady => "DatabaseReady: its pod",
            Self::MessagingPodNotReady => "MessagingReady: its pod",
            Self::SecretDeleted => "Secret mail",
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
            Self::ApiPodsNotReady => controllers.lose_all_pods_of("shop-api").await,
            Self::ApiImageNotPulled => {
                controllers.pod_that_cannot_start("shop-api", "ImagePullBackOff", "pull access denied for catalog").await;
                controllers.lose_all_pods_of("shop-api").await;
            }
            Self::NotifierCrashLoop => {
                controllers.pod_that_cannot_start("shop-notifier", "CrashLoopBackOff", "back-off 40s restarting failed container").await;
                controllers.lose_all_pods_of("shop-notifier").await;
            }
            Self::MigrationFailed => {
                namespace.apply(&catalog(&with(self.spec(), "/image/tag", json!("9.9.9")))).await.unwrap();
                within(LIMIT, "the new migration exists", async || {
                    let failed = controllers.finish_jobs(JobEnd::Failed).await;
                    holds(failed == 1, || "it doesn't")
                })
                .await;
            }
            Self::DatabasePodNotReady => controllers.lose_the_pod_of("shop-postgres").await,
            Self::MessagingPodNotReady => controllers.lose_the_pod_of("shop-nats").await,
            Self::SecretDeleted => {
                namespace.api::<Secret>().delete("mail", &DeleteParams::default()).await.unwrap();
            }
            Self::MailServerUnavailable => {
                let notifier = Notifier::start().await;
                notifier.says("[-] mail server: 421 too busy");
                controllers.run_notifier("shop-notifier", &notifier).await;
                controllers.lose_all_pods_of("shop-notifier").await;
                controllers.everything_goes_well().await;
                // It answers until the test ends.
                std::mem::forget(notifier);
            }
            Self::ApiPodsExceedQuota => {
                controllers.lose_all_pods_of("shop-api").await;
                controllers.set_deployment_condition("shop-api", "ReplicaFailure", "True", "FailedCreate", QUOTA).await;
            }
            Self::DatabasePodExceedsQuota => {
                controllers.warn::<StatefulSet>("shop-postgres", "FailedCreate", QUOTA).await;
                controllers.end_the_pod_of("shop-postgres").await;
            }
            Self::DatabaseClaimDeleted => {
                let claims = namespace.api::<PersistentVolumeClaim>();
                claims.delete(CLAIM, &DeleteParams::default()).await.unwrap();
                controllers.end_the_pod_of("shop-postgres").await;
                // Without its pod nothing protects it.
                let unprotected = Patch::Merge(json!({"metadata": {"finalizers": null}}));
                claims.patch(CLAIM, &PatchParams::default(), &unprotected).await.unwrap();
            }
            Self::DatabaseVolumeLost => {
                let lost = Patch::Merge(json!({"status": {"phase": "Lost"}}));
                namespace.api::<PersistentVolumeClaim>().patch_status(CLAIM, &PatchParams::default(), &lost).await.unwrap();
                controllers.lose_the_pod_of("shop-postgres").await;
            }
            Self::ApiScaledToZero => {
                controllers.lose_all_pods_of("shop-api").await;
                controllers.scale("shop-api", 0).await;
            }
        }
    }

    async fn end(self, namespace: &Namespace, controllers: &FakeControllers) {
        match self {
            Self::ApiImageNotPulled | Self::NotifierCrashLoop | Self::MailServerUnavailable => controllers.end_pods().await,
            Self::MigrationFailed => {
                for job in namespace.all::<Job>().await {
                    namespace.api::<Job>().delete(&job.name_any(), &DeleteParams::background()).await.unwrap();
                }
            }
            Self::SecretDeleted => write_secret(namespace).await,
            // As a person restores it from a snapshot.
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

async fn status(namespace: &Namespace) -> CatalogStatus {
    namespace.api::<Catalog>().get(NAME).await.unwrap().status.unwrap_or_default()
}

fn is(status: &CatalogStatus, kind: &str, value: &str) -> bool {
    status.conditions.iter().any(|condition| condition.type_ == kind && condition.status == value)
}

async fn goes_well(namespace: &Namespace, controllers: &FakeControllers) {
    within(HEALED, "the shop is ready and nothing is wrong", async || {
        controllers.everything_goes_well().await;
        let status = status(namespace).await;
        holds(is(&status, "Ready", "True") && is(&status, "Degraded", "False"), || format!("{:?}", status.conditions))
    })
    .await;
}

/// Seconds until the status knew of the fault, and of its end.
async fn measure(watched: &Watched, fault: Fault) -> (Fault, f64, f64) {
    let namespace = watched.namespace("honest").await;
    let controllers = FakeControllers::new(&namespace);
    write_secret(&namespace).await;
    namespace.apply(&catalog(&fault.spec())).await.unwrap();
    goes_well(&namespace, &controllers).await;

    fault.begin(&namespace, &controllers).await;
    let began = Instant::now();
    within(LIMIT, &format!("the status knows of {fault:?}"), async || {
        let status = status(&namespace).await;
        let is_ready = !is(&status, "Ready", "False");
        let degraded = status.conditions.iter().find(|condition| condition.type_ == "Degraded" && condition.status == "True");
        let names_it = degraded.is_some_and(|found| format!("{}: {}", found.reason, found.message).contains(fault.cause()));
        holds(names_it && !(is_ready && fault.is_noticed_by_clients()), || format!("{:?}", status.conditions))
    })
    .await;
    let knew = began.elapsed().as_secs_f64();

    let ended = Instant::now();
    fault.end(&namespace, &controllers).await;
    goes_well(&namespace, &controllers).await;
    (fault, knew, ended.elapsed().as_secs_f64())
}

#[tokio::test]
async fn the_status_knows_of_every_fault_and_of_its_end() {
    let watched = Watched::start().await;
    let measured = join_all(FAULTS.map(|fault| measure(&watched, fault))).await;
    println!("{:<24} {:>12} {:>9}", "fault", "status knew", "healed");
    for (fault, knew, healed) in measured {
        println!("{:<24} {knew:>10.1} s {healed:>7.1} s", format!("{fault:?}"));
    }
}
