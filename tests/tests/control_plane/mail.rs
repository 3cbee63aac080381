//! What notifiers report of the mail server is in the status of the Catalog.

use std::time::Duration;

use catalog_operator::crd::Catalog;
use catalog_tests::{
    control_plane::{
        FakeControllers, Namespace, Watched,
        fake_controllers::Notifier,
        operator::{NAME, catalog},
        specs::minimal,
    },
    wait::{holds, within},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// Until the status says what the notifier reports, or that it has ended.
const LIMIT: Duration = Duration::from_secs(15);

async fn condition(namespace: &Namespace, kind: &str) -> Option<Condition> {
    let status = namespace.api::<Catalog>().get(NAME).await.unwrap().status?;
    status.conditions.into_iter().find(|condition| condition.type_ == kind)
}

async fn becomes(namespace: &Namespace, kind: &str, status: &str, reason: &str, message: &str) {
    within(LIMIT, &format!("{kind} is {status} ({reason})"), async || {
        let said = condition(namespace, kind).await;
        let is_so = |said: &Condition| said.status == status && said.reason == reason && said.message.contains(message);
        holds(said.as_ref().is_some_and(is_so), || format!("{said:?}"))
    })
    .await;
}

#[tokio::test]
async fn the_status_follows_what_the_notifier_reports_of_the_mail_server() {
    let watched = Watched::shared();
    let namespace = watched.namespace("mail").await;
    let controllers = FakeControllers::new(&namespace);
    namespace.apply(&catalog(&minimal())).await.unwrap();
    within(Duration::from_secs(30), "the shop is ready", async || {
        controllers.everything_goes_well().await;
        let ready = condition(&namespace, "Ready").await;
        holds(ready.as_ref().is_some_and(|ready| ready.status == "True"), || format!("{ready:?}"))
    })
    .await;
    becomes(&namespace, "MailReady", "Unknown", "NotRunning", "no pod of Deployment shop-notifier runs").await;

    let notifier = Notifier::start().await;
    controllers.run_notifier("shop-notifier", &notifier).await;
    // No watch is on pods: the Deployment changes with them.
    controllers.lose_all_pods_of("shop-notifier").await;
    controllers.everything_goes_well().await;
    becomes(&namespace, "MailReady", "True", "NoFailure", "no notifier reports a failure of mail server").await;
    becomes(&namespace, "Degraded", "False", "Healthy", "").await;

    notifier.says("[-] mail server: permanent error (535): 5.7.8 authentication failed");
    let cause = "permanent error (535): 5.7.8 authentication failed. Mail waits and is sent later; check spec.mail";
    becomes(&namespace, "MailReady", "False", "MailServerUnavailable", cause).await;
    becomes(&namespace, "Degraded", "True", "MailServerUnavailable", cause).await;
    becomes(&namespace, "Ready", "True", "Ready", "the shop serves; see Degraded").await;

    notifier.says("[+] mail server: ok");
    becomes(&namespace, "MailReady", "True", "NoFailure", "").await;
    becomes(&namespace, "Degraded", "False", "Healthy", "").await;
    becomes(&namespace, "Ready", "True", "Ready", "everything works").await;

    drop(notifier);
    becomes(&namespace, "MailReady", "Unknown", "NotReported", "allow it to reach their port 9090").await;
}
