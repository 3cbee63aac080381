//! Wakes up: whatever happens to watches, a Catalog that is on its way moves again within 30 s.

use std::time::Duration;

use catalog_operator::crd::Catalog;
use catalog_tests::{
    control_plane::{
        FakeControllers, Namespace, Watched,
        fake_controllers::JobEnd,
        operator::{NAME, catalog},
        specs::{minimal, with},
        wire::Disturbance,
    },
    wait::{holds, within},
};
use futures::future::join_all;
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    autoscaling::v2::HorizontalPodAutoscaler,
    batch::v1::Job,
};
use kube::{ResourceExt, api::DeleteParams};
use serde_json::json;
use tokio::time::{Instant, sleep};

/// How long a Catalog may stand still.
const LIMIT: Duration = Duration::from_secs(30);

async fn condition(namespace: &Namespace, kind: &str) -> Option<bool> {
    let status = namespace.api::<Catalog>().get(NAME).await.unwrap().status?;
    Some(status.conditions.iter().find(|condition| condition.type_ == kind)?.status == "True")
}

/// A step of a Catalog, and how long it took.
async fn step(took: &mut Vec<(&'static str, Duration)>, what: &'static str, probe: impl AsyncFnMut() -> Result<(), String>) {
    let started = Instant::now();
    within(LIMIT, what, probe).await;
    took.push((what, started.elapsed()));
}

/// Applies a Catalog, plays the cluster, and returns how long each step took after what it waited for.
async fn becomes_ready(namespace: &Namespace) -> Vec<(&'static str, Duration)> {
    let (mut took, controllers) = (Vec::new(), FakeControllers::new(namespace));
    namespace.apply(&catalog(&minimal())).await.unwrap();
    step(&mut took, "created → objects", async || {
        let sets = namespace.all::<StatefulSet>().await.len();
        let jobs = namespace.all::<Job>().await.len();
        holds(sets == 2 && jobs == 1, || format!("{sets} StatefulSets, {jobs} Jobs"))
    })
    .await;
    controllers.bind_claims().await;
    controllers.roll_out_stateful_sets().await;
    step(&mut took, "pods ready → status", async || {
        holds(condition(namespace, "DatabaseReady").await == Some(true), || "DatabaseReady isn't True".into())
    })
    .await;
    controllers.finish_jobs(JobEnd::Complete).await;
    step(&mut took, "migration succeeded → workloads", async || {
        let deployments = namespace.all::<Deployment>().await.len();
        holds(deployments == 4, || format!("{deployments} Deployments"))
    })
    .await;
    controllers.roll_out_deployments().await;
    step(&mut took, "pods available → Ready", async || {
        holds(condition(namespace, "Ready").await == Some(true), || "Ready isn't True".into())
    })
    .await;
    took
}

async fn survives(watched: &Watched, disturbance: Disturbance) {
    watched.wire().disturb(disturbance);
    let names = join_all((0..4).map(|_| watched.namespace("disturbed"))).await;
    let catalogs = join_all(names.iter().map(becomes_ready)).await;
    for (what, _) in &catalogs[0] {
        let longest = catalogs.iter().flatten().filter(|(step, _)| step == what).map(|(_, took)| *took).max().unwrap_or_default();
        println!("{disturbance:?}: {what}: {:.1} s at most", longest.as_secs_f64());
    }
}

#[tokio::test]
async fn delayed_dropped_and_reordered_events_stop_no_catalog() {
    let watched = Watched::start().await;
    survives(&watched, Disturbance::None).await;
    survives(&watched, Disturbance::Shuffle).await;
}

#[tokio::test]
async fn a_catalog_of_whose_objects_no_event_arrives_becomes_ready() {
    survives(&Watched::start().await, Disturbance::Drop).await;
}

#[tokio::test]
async fn watches_that_break_off_again_and_again_stop_no_catalog() {
    let watched = Watched::start().await;
    let breaking = async {
        loop {
            watched.wire().make_deaf(true);
            sleep(Duration::from_millis(700)).await;
            watched.wire().make_deaf(false);
            sleep(Duration::from_secs(4)).await;
        }
    };
    tokio::select! {
        never = breaking => never,
        () = survives(&watched, Disturbance::Shuffle) => {}
    }
}

#[tokio::test]
async fn a_kind_that_is_not_installed_delays_no_event() {
    // Its server has no KEDA.
    let watched = Watched::start().await;
    within(LIMIT, "three lists of a kind that isn't installed fail", async || {
        let calls = watched.wire().calls();
        let failed = calls.iter().filter(|made| made.call.path.ends_with("/scaledobjects")).count();
        holds(failed >= 3, || failed)
    })
    .await;
    let namespace = watched.namespace("no-keda").await;
    let started = Instant::now();
    namespace.apply(&catalog(&minimal())).await.unwrap();
    within(Duration::from_secs(8), "the Catalog is seen", async || {
        holds(condition(&namespace, "Ready").await.is_some(), || "it has no status")
    })
    .await;
    println!("without KEDA: a Catalog is seen {:.2} s after it was created", started.elapsed().as_secs_f64());
}

#[tokio::test]
async fn what_an_expired_watch_has_missed_is_found_when_it_lists_again() {
    let watched = Watched::start().await;
    let namespace = watched.namespace("expired").await;
    let autoscaling = json!({"autoscaling": {"minReplicas": 2, "maxReplicas": 5, "targetCPUUtilizationPercentage": 70}});
    namespace.apply(&catalog(&with(minimal(), "/api", autoscaling))).await.unwrap();
    let controllers = FakeControllers::new(&namespace);
    within(LIMIT, "the shop is ready", async || {
        controllers.everything_goes_well().await;
        holds(condition(&namespace, "Ready").await == Some(true), || "Ready isn't True")
    })
    .await;
    let autoscalers = namespace.api::<HorizontalPodAutoscaler>();
    let before = autoscalers.get("shop-api").await.unwrap().uid();
    watched.wire().make_deaf(true);
    watched.wire().expire("horizontalpodautoscalers");
    autoscalers.delete("shop-api", &DeleteParams::default()).await.unwrap();
    watched.wire().make_deaf(false);
    within(LIMIT, "the only HorizontalPodAutoscaler is back", async || {
        let now = autoscalers.get_opt("shop-api").await.unwrap();
        holds(watched.wire().has_expired() && now.is_some_and(|now| now.uid() != before), || "it isn't")
    })
    .await;

    watched.wire().make_deaf(true);
    watched.wire().expire("catalogs");
    let created = watched.namespace("created-meanwhile").await;
    created.apply(&catalog(&minimal())).await.unwrap();
    watched.wire().make_deaf(false);
    within(LIMIT, "a Catalog that was created meanwhile is seen", async || {
        let is_seen = watched.wire().has_expired() && condition(&created, "Ready").await.is_some();
        holds(is_seen, || "it has no status")
    })
    .await;
}
