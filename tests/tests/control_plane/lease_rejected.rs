//! Leader election while the API server rejects the owner of the Lease, or the list of Leases.

use std::collections::BTreeSet;

use catalog_logging::JsonLayer;
use catalog_operator::leader::{Elector, Leadership};
use catalog_tests::{
    control_plane::{ApiServer, Namespace, admission::RejectedUpdates},
    log::Log,
    wait::{check, eventually},
};
use k8s_openapi::{
    api::{coordination::v1::Lease, rbac::v1::ClusterRole},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tracing::instrument::WithSubscriber;
use tracing_subscriber::layer::SubscriberExt;

use super::installations::{DEPLOYMENT, install};

const LEASE: &str = "catalog-operator";

async fn lease(namespace: &Namespace) -> Option<Lease> {
    namespace.api().get_opt(LEASE).await.unwrap()
}

/// `Forbidden` is the reason of the admission plugin `OwnerReferencesPermissionEnforcement`, and `Invalid` the default of a policy.
#[tokio::test]
async fn a_leader_whose_lease_must_not_have_an_owner_renews_it_without_one_and_logs_this_once() {
    let one = async |stem: &str, reason: &str| {
        let namespace = Namespace::new(ApiServer::shared(), stem).await;
        let owner = install(&namespace).await.owner_ref(&()).unwrap();
        let unless = "!has(object.metadata.ownerReferences)";
        let message = "an object must not have an owner";
        RejectedUpdates { group: "coordination.k8s.io", resource: "leases", unless, message, reason }.create_in(&namespace).await;
        let probe: Lease = serde_json::from_value(json!({"metadata": {"name": "probe"}})).unwrap();
        namespace.api::<Lease>().create(&PostParams::default(), &probe).await.unwrap();
        eventually("the policy is in force", async || {
            let dry_run = PatchParams { dry_run: true, ..PatchParams::default() };
            let owned = Patch::Merge(json!({"metadata": {"ownerReferences": [owner]}}));
            let patched = namespace.api::<Lease>().patch("probe", &dry_run, &owned).await;
            check(patched.is_err(), || "the owner is accepted")
        })
        .await;

        let leadership = Leadership::default();
        let elector = Elector::new(namespace.client().clone(), namespace.name(), "first".into(), leadership.clone())
            .owned_by(namespace.name(), Some(DEPLOYMENT.into()));
        let (reader, writer) = std::io::pipe().unwrap();
        let lines = JsonLayer::new(move || writer.try_clone().unwrap());
        let elector = elector.run(std::future::pending()).with_subscriber(tracing_subscriber::registry().with(lines));
        let log = Log::default();
        log.collect(reader);
        let task = tokio::spawn(elector);
        leadership.wait_until_won().await;
        let mut renewals = BTreeSet::<MicroTime>::new();
        eventually("the Lease is renewed three times after it was acquired", async || {
            let lease = lease(&namespace).await.unwrap();
            assert!(leadership.holds() && lease.owner_references().is_empty(), "{lease:?}");
            renewals.extend(lease.spec.and_then(|spec| spec.renew_time));
            check(renewals.len() > 3, || renewals.len())
        })
        .await;

        RejectedUpdates::delete_in(&namespace).await;
        eventually("the Lease has an owner", async || {
            let lease = lease(&namespace).await.unwrap();
            check(lease.owner_references() == [owner.clone()], || lease.metadata.clone())
        })
        .await;
        assert!(leadership.holds());
        task.abort();
        assert!(task.await.is_err_and(|error| error.is_cancelled()));
        log.complete().await;
        let entries: Vec<_> = log.entries().into_iter().filter(|entry| entry["message"] == "lease has no owner; retrying").collect();
        assert!(entries.len() == 1 && entries[0]["error"].as_str().is_some_and(|error| error.contains(message)), "{entries:?}");
    };
    tokio::join!(one("owner-forbidden", "Forbidden"), one("owner-invalid", "Invalid"));
}

/// Lets operators list Leases, or not.
async fn allow_listing_leases(client: &Client, is_allowed: bool) {
    let roles = Api::<ClusterRole>::all(client.clone());
    let mut role = roles.get("operator").await.unwrap();
    let verbs = if is_allowed { vec!["get", "create", "update", "delete", "list"] } else { vec!["get", "create", "update", "delete"] };
    let rules = role.rules.as_mut().unwrap();
    rules.retain(|rule| !rule.resources.iter().flatten().any(|resource| resource == "leases"));
    rules.push(serde_json::from_value(json!({"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": verbs})).unwrap());
    roles.replace("operator", &PostParams::default(), &role).await.unwrap();
}

/// Waits until the API server allows or forbids `client` to list Leases.
async fn wait_for_access(client: &Client, is_allowed: bool) {
    let leases = Api::<Lease>::all(client.clone());
    eventually("the role is in force", async || {
        let listed = leases.list(&kube::api::ListParams::default().fields(&format!("metadata.name={LEASE}"))).await;
        check(listed.is_ok() == is_allowed, || format!("{listed:?}"))
    })
    .await;
}

#[tokio::test]
async fn an_operator_that_cannot_list_leases_does_not_hold_one_and_keeps_no_other_installation_from_leading() {
    let server = ApiServer::start().await;
    let (blue, green) = (Namespace::new(&server, "blue").await, Namespace::new(&server, "green").await);
    let operator = Client::try_from(server.operator_config().await).unwrap();
    allow_listing_leases(green.client(), false).await;
    wait_for_access(&operator, false).await;
    let without_access = Leadership::default();
    let elector =
        Elector::new(operator.clone(), blue.name(), "without-access".into(), without_access.clone()).alone_in_cluster(blue.name());
    let first = tokio::spawn(elector.run(std::future::pending()));

    // Its namespace sorts after that of the first, so it would yield to a candidate there.
    let leadership = Leadership::default();
    let elector = Elector::new(green.client().clone(), green.name(), "second".into(), leadership.clone()).alone_in_cluster(green.name());
    let second = tokio::spawn(elector.run(std::future::pending()));
    eventually("the second installation leads", async || {
        assert!(!first.is_finished() && !second.is_finished(), "an installation has yielded");
        check(leadership.holds(), || "it doesn't lead")
    })
    .await;
    assert_eq!(lease(&blue).await, None);
    assert!(!without_access.holds() && !without_access.is_leader_known());
    first.abort();
    second.abort();
}

#[tokio::test]
async fn a_candidate_that_can_no_longer_list_leases_stops_renewing_its_own() {
    let server = ApiServer::start().await;
    let (blue, green) = (Namespace::new(&server, "blue").await, Namespace::new(&server, "green").await);
    let operator = Client::try_from(server.operator_config().await).unwrap();
    // A Lease that another process has just acquired, so that the first installation waits.
    let held = json!({"metadata": {"name": LEASE}, "spec": {"holderIdentity": "ended"}});
    green.api::<Lease>().create(&PostParams::default(), &serde_json::from_value(held).unwrap()).await.unwrap();
    let leadership = Leadership::default();
    let elector = Elector::new(operator.clone(), blue.name(), "first".into(), leadership.clone()).alone_in_cluster(blue.name());
    let task = tokio::spawn(elector.run(std::future::pending()));
    let holder = async || lease(&blue).await.and_then(|lease| lease.spec?.holder_identity);
    eventually("the first installation is a candidate", async || check(holder().await.as_deref() == Some("first"), || "it isn't")).await;
    allow_listing_leases(green.client(), false).await;
    wait_for_access(&operator, false).await;
    let mut since = (Value::Null, tokio::time::Instant::now());
    eventually("the Lease is not renewed for two intervals", async || {
        let spec = serde_json::to_value(lease(&blue).await.unwrap().spec).unwrap();
        if since.0 != spec {
            since = (spec, tokio::time::Instant::now());
        }
        check(since.1.elapsed() > std::time::Duration::from_secs(5), || since.0.clone())
    })
    .await;
    assert!(!leadership.holds());
    allow_listing_leases(green.client(), true).await;
    leadership.wait_until_won().await;
    task.abort();
}
