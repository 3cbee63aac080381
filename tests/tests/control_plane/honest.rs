//! Honest: the status knows of every fault within ten seconds, names its cause, and knows when it has ended.
//!
//! A new fault is a variant of [`Fault`] and an arm in each of its methods.

use std::time::Duration;

use catalog_operator::crd::{Catalog, CatalogStatus};
use catalog_tests::{
    control_plane::{
        Namespace, Played, Watched,
        operator::{NAME, catalog},
        played::{JobEnd, Notifier},
        specs::{minimal, with},
    },
    wait::{holds, within},
};
use futures::future::join_all;
use k8s_openapi::api::{batch::v1::Job, core::v1::Secret};
use kube::{ResourceExt, api::DeleteParams};
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
}

const FAULTS: [Fault; 8] = [
    Fault::ApiPodsNotReady,
    Fault::ApiImageNotPulled,
    Fault::NotifierCrashLoop,
    Fault::MigrationFailed,
    Fault::DatabasePodNotReady,
    Fault::MessagingPodNotReady,
    Fault::SecretDeleted,
    Fault::MailServerUnavailable,
];

impl Fault {
    /// What reason and message of a condition that reports it have to contain.
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
        }
    }

    async fn begin(self, namespace: &Namespace, played: &Played) {
        match self {
            Self::ApiPodsNotReady => played.lose_all_pods_of("shop-api").await,
            Self::ApiImageNotPulled => {
                played.pod_that_cannot_start("shop-api", "ImagePullBackOff", "pull access denied for catalog").await;
                played.lose_all_pods_of("shop-api").await;
            }
            Self::NotifierCrashLoop => {
                played.pod_that_cannot_start("shop-notifier", "CrashLoopBackOff", "back-off 40s restarting failed container").await;
                played.lose_all_pods_of("shop-notifier").await;
            }
            Self::MigrationFailed => {
                namespace.apply(&catalog(&with(spec(), "/image/tag", json!("9.9.9")))).await.unwrap();
                within(LIMIT, "the new migration exists", async || {
                    let failed = played.finish_jobs(JobEnd::Failed).await;
                    holds(failed == 1, || "it doesn't")
                })
                .await;
            }
            Self::DatabasePodNotReady => played.lose_the_pod_of("shop-postgres").await,
            Self::MessagingPodNotReady => played.lose_the_pod_of("shop-nats").await,
            Self::SecretDeleted => {
                namespace.api::<Secret>().delete("mail", &DeleteParams::default()).await.unwrap();
            }
            Self::MailServerUnavailable => {
                let notifier = Notifier::start().await;
                notifier.says("[-] mail server: 421 too busy");
                played.run_notifier("shop-notifier", &notifier).await;
                played.lose_all_pods_of("shop-notifier").await;
                played.everything_goes_well().await;
                // It answers until the test ends.
                std::mem::forget(notifier);
            }
        }
    }

    async fn end(self, namespace: &Namespace, played: &Played) {
        match self {
            Self::ApiImageNotPulled | Self::NotifierCrashLoop | Self::MailServerUnavailable => played.end_pods().await,
            Self::MigrationFailed => {
                for job in namespace.all::<Job>().await {
                    namespace.api::<Job>().delete(&job.name_any(), &DeleteParams::background()).await.unwrap();
                }
            }
            Self::SecretDeleted => write_secret(namespace).await,
            Self::ApiPodsNotReady | Self::DatabasePodNotReady | Self::MessagingPodNotReady => {}
        }
    }
}

fn spec() -> Value {
    with(minimal(), "/mail/credentialsSecretRef", json!({"name": "mail"}))
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

async fn goes_well(namespace: &Namespace, played: &Played) {
    within(HEALED, "the shop is ready and nothing is wrong", async || {
        played.everything_goes_well().await;
        let status = status(namespace).await;
        holds(is(&status, "Ready", "True") && is(&status, "Degraded", "False"), || format!("{:?}", status.conditions))
    })
    .await;
}

/// Seconds until the status knew of the fault, and of its end.
async fn measure(watched: &Watched, fault: Fault) -> (Fault, f64, f64) {
    let namespace = watched.namespace("honest").await;
    let played = Played::new(&namespace);
    write_secret(&namespace).await;
    namespace.apply(&catalog(&spec())).await.unwrap();
    goes_well(&namespace, &played).await;

    fault.begin(&namespace, &played).await;
    let began = Instant::now();
    within(LIMIT, &format!("the status knows of {fault:?}"), async || {
        let status = status(&namespace).await;
        let is_known = is(&status, "Ready", "False") || is(&status, "Degraded", "True");
        let names_it =
            status.conditions.iter().any(|condition| format!("{}: {}", condition.reason, condition.message).contains(fault.cause()));
        holds(is_known && names_it, || format!("{:?}", status.conditions))
    })
    .await;
    let knew = began.elapsed().as_secs_f64();

    let ended = Instant::now();
    fault.end(&namespace, &played).await;
    goes_well(&namespace, &played).await;
    (fault, knew, ended.elapsed().as_secs_f64())
}

#[tokio::test]
async fn the_status_knows_of_every_fault_and_of_its_end() {
    let watched = Watched::start().await;
    let measured = join_all(FAULTS.map(|fault| measure(&watched, fault))).await;
    println!("{:<22} {:>12} {:>9}", "fault", "status knew", "healed");
    for (fault, knew, healed) in measured {
        println!("{:<22} {knew:>10.1} s {healed:>7.1} s", format!("{fault:?}"));
    }
}
