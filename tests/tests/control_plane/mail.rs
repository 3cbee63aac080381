//! The condition `MailReady` reports the mail server as the notifiers see it.

use std::time::Duration;

use catalog_operator::crd::Catalog;
use catalog_tests::{
    control_plane::{
        FakeControllers, Namespace, RunningOperator,
        fake_controllers::Notifier,
        operator::{NAME, catalog},
        specs::minimal,
    },
    wait::{check, within},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// The time within which the status must follow the notifier.
const LIMIT: Duration = Duration::from_secs(30);

async fn condition(namespace: &Namespace, kind: &str) -> Option<Condition> {
    let status = namespace.api::<Catalog>().get(NAME).await.unwrap().status?;
    status.conditions.into_iter().find(|condition| condition.type_ == kind)
}

async fn wait_for(namespace: &Namespace, kind: &str, status: &str, reason: &str, message: &str) {
    within(LIMIT, &format!("{kind} is {status} ({reason})"), async || {
        let condition = condition(namespace, kind).await;
        let matches =
            |condition: &Condition| condition.status == status && condition.reason == reason && condition.message.contains(message);
        check(condition.as_ref().is_some_and(matches), || format!("{condition:?}"))
    })
    .await;
}

#[tokio::test]
async fn mail_ready_follows_the_report_of_the_notifier() {
    let operator = RunningOperator::shared();
    let namespace = operator.namespace("mail").await;
    let controllers = FakeControllers::new(&namespace);
    namespace.apply(&catalog(&minimal())).await.unwrap();
    within(Duration::from_secs(30), "the shop is ready", async || {
        controllers.complete_all().await;
        let ready = condition(&namespace, "Ready").await;
        check(ready.as_ref().is_some_and(|ready| ready.status == "True"), || format!("{ready:?}"))
    })
    .await;
    wait_for(&namespace, "MailReady", "Unknown", "NotRunning", "no pod of Deployment shop-notifier runs").await;

    // The pod gets the variables of the Deployment's template.
    let mail = namespace.api::<Catalog>().get(NAME).await.unwrap().spec.mail;
    let server = format!("{}:{}", mail.server, mail.port);
    let notifier = Notifier::start().await;
    controllers.run_notifier("shop-notifier", &notifier).await;
    // The operator does not watch pods, but the status of the Deployment.
    controllers.mark_pods_unavailable("shop-notifier").await;
    controllers.complete_all().await;
    wait_for(&namespace, "MailReady", "True", "NoFailure", &format!("no notifier reports a failure of mail server {server}")).await;
    wait_for(&namespace, "Degraded", "False", "Healthy", "").await;

    notifier.set_mail_report("[-] mail server: permanent error (535): 5.7.8 authentication failed");
    let cause =
        format!("mail server {server}: permanent error (535): 5.7.8 authentication failed. Mail waits and is sent later; check spec.mail");
    wait_for(&namespace, "MailReady", "False", "MailServerUnavailable", &cause).await;
    wait_for(&namespace, "Degraded", "True", "MailServerUnavailable", &cause).await;
    wait_for(&namespace, "Ready", "True", "Ready", "the shop serves; see Degraded").await;

    notifier.set_mail_report("[+] mail server: ok");
    wait_for(&namespace, "MailReady", "True", "NoFailure", "").await;
    wait_for(&namespace, "Degraded", "False", "Healthy", "").await;
    wait_for(&namespace, "Ready", "True", "Ready", "everything works").await;

    drop(notifier);
    wait_for(&namespace, "MailReady", "Unknown", "NotReported", "allow it to reach their port 9090").await;
}
