//! Catalogs make progress within 30 s despite lost, delayed and reordered watch events.

use std::time::Duration;

use catalog_operator::crd::Catalog;
use catalog_tests::{
    control_plane::{
        FakeControllers, Namespace, RunningOperator,
        call_recorder::Disturbance,
        fake_controllers::JobEnd,
        operator::{NAME, catalog},
        specs::{minimal, with},
    },
    wait::{check, within},
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

/// The time within which each step must be made.
const LIMIT: Duration = Duration::from_secs(30);

async fn condition(namespace: &Namespace, kind: &str) -> Option<bool> {
    let status = namespace.api::<Catalog>().get(NAME).await.unwrap().status?;
    Some(status.conditions.iter().find(|condition| condition.type_ == kind)?.status == "True")
}

/// Waits for a step of a Catalog, and records how long it took.
async fn wait_for_step(took: &mut Vec<(&'static str, Duration)>, what: &'static str, probe: impl AsyncFnMut() -> Result<(), String>) {
    let started = Instant::now();
    within(LIMIT, what, probe).await;
    took.push((what, started.elapsed()));
}

/// Applies a Catalog, runs the fake controllers until it is ready, and returns how long each step of the operator took.
async fn measure_steps(namespace: &Namespace) -> Vec<(&'static str, Duration)> {
    let (mut took, controllers) = (Vec::new(), FakeControllers::new(namespace));
    namespace.apply(&catalog(&minimal())).await.unwrap();
    wait_for_step(&mut took, "created → objects", async || {
        let sets = namespace.all::<StatefulSet>().await.len();
        let jobs = namespace.all::<Job>().await.len();
        check(sets == 2 && jobs == 1, || format!("{sets} StatefulSets, {jobs} Jobs"))
    })
    .await;
    controllers.bind_claims().await;
    controllers.roll_out_stateful_sets().await;
    wait_for_step(&mut took, "pods ready → status", async || {
        check(condition(namespace, "DatabaseReady").await == Some(true), || "DatabaseReady isn't True".into())
    })
    .await;
    controllers.finish_jobs(JobEnd::Complete).await;
    wait_for_step(&mut took, "migration succeeded → workloads", async || {
        let deployments = namespace.all::<Deployment>().await.len();
        check(deployments == 4, || format!("{deployments} Deployments"))
    })
    .await;
    controllers.roll_out_deployments().await;
    wait_for_step(&mut took, "pods available → Ready", async || {
        check(condition(namespace, "Ready").await == Some(true), || "Ready isn't True".into())
    })
    .await;
    took
}

async fn assert_ready_despite(operator: &RunningOperator, disturbance: Disturbance) {
    operator.recorder().disturb(disturbance);
    let names = join_all((0..4).map(|_| operator.namespace("disturbed"))).await;
    let catalogs = join_all(names.iter().map(measure_steps)).await;
    for (what, _) in &catalogs[0] {
        let longest = catalogs.iter().flatten().filter(|(step, _)| step == what).map(|(_, took)| *took).max().unwrap_or_default();
        println!("{disturbance:?}: {what}: {:.1} s at most", longest.as_secs_f64());
    }
}

#[tokio::test]
async fn catalogs_become_ready_despite_delayed_dropped_and_reordered_events() {
    let operator = RunningOperator::start().await;
    assert_ready_despite(&operator, Disturbance::None).await;
    assert_ready_despite(&operator, Disturbance::Shuffle).await;
}

#[tokio::test]
async fn catalogs_become_ready_without_events_of_their_objects() {
    assert_ready_despite(&RunningOperator::start().await, Disturbance::Drop).await;
}

#[tokio::test]
async fn catalogs_become_ready_despite_repeatedly_interrupted_watches() {
    let operator = RunningOperator::start().await;
    let breaking = async {
        loop {
            operator.recorder().break_watches(true);
            sleep(Duration::from_millis(700)).await;
            operator.recorder().break_watches(false);
            sleep(Duration::from_secs(4)).await;
        }
    };
    tokio::select! {
        never = breaking => never,
        () = assert_ready_despite(&operator, Disturbance::Shuffle) => {}
    }
}

#[tokio::test]
async fn a_kind_that_is_not_installed_does_not_delay_other_events() {
    // The CRDs of KEDA are not installed on this server.
    let operator = RunningOperator::start().await;
    within(LIMIT, "three lists of a kind that isn't installed fail", async || {
        let calls = operator.recorder().calls();
        let failed = calls.iter().filter(|made| made.call.path.ends_with("/scaledobjects")).count();
        check(failed >= 3, || failed)
    })
    .await;
    let namespace = operator.namespace("no-keda").await;
    let started = Instant::now();
    namespace.apply(&catalog(&minimal())).await.unwrap();
    within(Duration::from_secs(8), "the Catalog is reconciled", async || {
        check(condition(&namespace, "Ready").await.is_some(), || "it has no status")
    })
    .await;
    println!("without KEDA: a Catalog is reconciled {:.2} s after its creation", started.elapsed().as_secs_f64());
}

#[tokio::test]
async fn changes_that_an_expired_watch_missed_are_found_by_the_next_list() {
    let operator = RunningOperator::start().await;
    let namespace = operator.namespace("expired").await;
    let autoscaling = json!({"autoscaling": {"minReplicas": 2, "maxReplicas": 5, "targetCPUUtilizationPercentage": 70}});
    namespace.apply(&catalog(&with(minimal(), "/api", autoscaling))).await.unwrap();
    let controllers = FakeControllers::new(&namespace);
    within(LIMIT, "the shop is ready", async || {
        controllers.complete_all().await;
        check(condition(&namespace, "Ready").await == Some(true), || "Ready isn't True")
    })
    .await;
    let autoscalers = namespace.api::<HorizontalPodAutoscaler>();
    let before = autoscalers.get("shop-api").await.unwrap().uid();
    operator.recorder().break_watches(true);
    operator.recorder().expire("horizontalpodautoscalers");
    autoscalers.delete("shop-api", &DeleteParams::default()).await.unwrap();
    operator.recorder().break_watches(false);
    within(LIMIT, "the HorizontalPodAutoscaler is recreated", async || {
        let now = autoscalers.get_opt("shop-api").await.unwrap();
        check(operator.recorder().has_expired() && now.is_some_and(|now| now.uid() != before), || "it is missing")
    })
    .await;

    operator.recorder().break_watches(true);
    operator.recorder().expire("catalogs");
    let created = operator.namespace("created-unwatched").await;
    created.apply(&catalog(&minimal())).await.unwrap();
    operator.recorder().break_watches(false);
    within(LIMIT, "a Catalog that was created during the outage is reconciled", async || {
        let is_reconciled = operator.recorder().has_expired() && condition(&created, "Ready").await.is_some();
        check(is_reconciled, || "it has no status")
    })
    .await;
}
