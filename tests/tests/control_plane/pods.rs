//! Honest: what keeps pods from running is reported with its cause, and for as long as it lasts.

use catalog_tests::control_plane::{
    Call, Fault, Operator,
    fake_controllers::JobEnd,
    operator::Condition,
    specs::{full, with},
    wire::Verb,
};
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, StatefulSet},
        batch::v1::Job,
        core::v1::Pod,
    },
    jiff::{SignedDuration, Timestamp},
};
use kube::ResourceExt;
use serde_json::{Value, json};

const QUOTA: &str = r#"pods "x" is forbidden: exceeded quota: team, requested: pods=1, used: pods=4, limited: pods=4"#;

async fn settled(stem: &str) -> Operator {
    let mut operator = Operator::new(stem).await;
    operator.apply(&full()).await.unwrap();
    operator.settle().await;
    operator.controllers().run_keda().await;
    operator
}

/// A Catalog whose migration has been created, and whose servers run.
async fn migrating(stem: &str) -> (Operator, String) {
    let mut operator = Operator::new(stem).await;
    operator.apply(&full()).await.unwrap();
    operator.reconcile().await;
    operator.controllers().roll_out_stateful_sets().await;
    let job = operator.namespace().all::<Job>().await.remove(0).name_any();
    (operator, job)
}

async fn report(operator: &mut Operator, kind: &str) -> Condition {
    operator.reconcile().await;
    operator.condition(kind).await
}

async fn assert_degraded(operator: &mut Operator, reason: &str, text: &str) {
    let said = report(operator, "Degraded").await;
    assert!(said.holds && said.reason == reason && said.message.contains(text), "{said:?}");
}

async fn transition(operator: &Operator) -> Timestamp {
    let conditions = operator.catalog().await.unwrap().status.unwrap().conditions;
    conditions.into_iter().find(|condition| condition.type_ == "Degraded").unwrap().last_transition_time.0
}

fn pod_status(phase: &str, restarts: i32, is_ready: bool, state: &Value, last: &Value) -> Value {
    let container = json!({"ready": is_ready, "restartCount": restarts, "state": state, "lastState": last});
    json!({"phase": phase, "containerStatuses": [container]})
}

/// As the API server writes times of pods: in whole seconds.
fn seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap()
}

#[tokio::test]
async fn a_crash_loop_is_degraded_throughout_and_until_the_container_was_ready_for_two_minutes() {
    let mut operator = settled("crash-loop").await;
    let pod = operator.controllers().create_pod::<Deployment>("shop-api").await;
    let ended = |at: Timestamp| {
        json!({"terminated": {
            "exitCode": 1, "reason": "Error", "startedAt": at, "finishedAt": at, "message": "settings are wrong: DATABASE_URL",
        }})
    };
    let backing_off = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container"}});
    let mut since = None;
    for restarts in 0..4 {
        let crash = ended(seconds(operator.now()));
        let mut running = json!({});
        for phase in ["terminated", "waiting", "running", "ready"] {
            let status = match phase {
                "terminated" => pod_status("Running", restarts, false, &crash, &json!({})),
                "waiting" => pod_status("Running", restarts, false, &backing_off, &crash),
                _ => pod_status("Running", restarts + 1, phase == "ready", &running, &crash),
            };
            if phase == "ready" {
                operator.controllers().roll_out_deployments().await;
            } else {
                operator.controllers().lose_all_pods_of("shop-api").await;
            }
            operator.controllers().set_pod(&pod, status).await;
            let said = report(&mut operator, "Degraded").await;
            assert!(said.holds && said.message.contains("settings are wrong: DATABASE_URL"), "{phase} after {restarts} restarts: {said:?}");
            let at = transition(&operator).await;
            assert_eq!(*since.get_or_insert(at), at, "it was not degraded for a moment: {phase} after {restarts} restarts");
            if phase == "waiting" {
                operator.pass(SignedDuration::from_secs(60));
                running = json!({"running": {"startedAt": seconds(operator.now())}});
            }
        }
        assert!(operator.condition("Ready").await.holds, "all pods serve at this moment");
    }
    // The clock also advances in real time.
    operator.pass(SignedDuration::from_secs(90));
    assert_degraded(&mut operator, "CrashLoopBackOff", "restarted 4 times").await;
    operator.pass(SignedDuration::from_secs(35));
    let said = report(&mut operator, "Degraded").await;
    assert!(!said.holds, "{said:?}");
}

#[tokio::test]
async fn a_migration_that_fails_is_reported_with_its_cause_from_the_first_failure_until_it_succeeds() {
    let (mut operator, job) = migrating("failing").await;
    let said = report(&mut operator, "Migrated").await;
    assert_eq!(said.reason, "MigrationRunning");
    assert!(!operator.condition("Degraded").await.holds);
    let pod = operator.controllers().create_pod::<Job>(&job).await;
    let now = seconds(Timestamp::now());
    let log = r#"{"timestamp":"2026-11-30T10:00:00Z","level":"ERROR","message":"password authentication failed for user \"shop\""}"#;
    let ended = json!({"terminated": {"exitCode": 1, "reason": "Error", "startedAt": now, "finishedAt": now, "message": log}});
    let backing_off = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}});
    let phases = [
        pod_status("Running", 0, false, &ended, &json!({})),
        pod_status("Running", 0, false, &backing_off, &ended),
        pod_status("Running", 1, true, &json!({"running": {"startedAt": now}}), &ended),
    ];
    for status in phases {
        operator.controllers().set_pod(&pod, status).await;
        assert_degraded(&mut operator, "MigrationFailing", "password authentication failed for user \"shop\"").await;
        let said = operator.condition("Migrated").await;
        assert!(!said.holds && said.reason == "MigrationFailing" && said.message.contains("kubectl logs job/"), "{said:?}");
    }
    operator.controllers().finish_jobs(JobEnd::Complete).await;
    assert!(!report(&mut operator, "Degraded").await.holds);
    operator.settle().await;
}

#[tokio::test]
async fn a_migration_that_waits_says_why() {
    let (mut operator, job) = migrating("waiting").await;
    let pod = operator.controllers().create_pod::<Job>(&job).await;
    let unscheduled = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available"});
    operator.controllers().set_pod(&pod, json!({"phase": "Pending", "conditions": [unscheduled]})).await;
    assert_degraded(&mut operator, "Unschedulable", "0/1 nodes are available").await;

    let pulling = json!({"waiting": {"reason": "ErrImagePull", "message": "catalog:1.2.3: not found"}});
    let mut status = pod_status("Pending", 0, false, &pulling, &json!({}));
    status["conditions"] = json!([{"type": "PodScheduled", "status": "True"}]);
    operator.controllers().set_pod(&pod, status.clone()).await;
    assert_degraded(&mut operator, "ErrImagePull", "catalog:1.2.3: not found").await;

    // A volume that is not mounted: the pod's status never says why.
    status["containerStatuses"][0]["state"]["waiting"] = json!({"reason": "ContainerCreating", "message": null});
    operator.controllers().set_pod(&pod, status).await;
    let mount = "MountVolume.SetUp failed for volume \"database-ca\": secret \"database-ca\" not found";
    operator.controllers().warn::<Pod>(&pod, "FailedMount", mount).await;
    assert!(!report(&mut operator, "Degraded").await.holds, "it has just been created");
    operator.pass(SignedDuration::from_secs(61));
    assert_degraded(&mut operator, "FailedMount", mount).await;
    assert!(operator.condition("Migrated").await.message.contains(mount));
}

#[tokio::test]
async fn a_migration_without_pods_is_reported_in_the_text_of_the_admission() {
    let (mut operator, job) = migrating("no-job-pods").await;
    operator.controllers().warn::<Job>(&job, "FailedCreate", &format!("Error creating: {QUOTA}")).await;
    assert_degraded(&mut operator, "FailedCreate", QUOTA).await;
    let said = operator.condition("Migrated").await;
    assert!(!said.holds && said.message.contains(&format!("Job {job}")) && said.message.contains(QUOTA), "{said:?}");
}

#[tokio::test]
async fn a_server_without_pods_is_reported_in_the_text_of_the_admission() {
    let mut operator = settled("no-server-pods").await;
    let lost =
        json!({"status": {"replicas": 0, "readyReplicas": null, "availableReplicas": 0, "currentReplicas": 0, "updatedReplicas": 0}});
    let sets = operator.namespace().api::<StatefulSet>();
    sets.patch_status("shop-postgres", &kube::api::PatchParams::default(), &kube::api::Patch::Merge(lost)).await.unwrap();
    operator
        .controllers()
        .warn::<StatefulSet>("shop-postgres", "FailedCreate", &format!("create Pod shop-postgres-0 failed error: {QUOTA}"))
        .await;
    assert_degraded(&mut operator, "FailedCreate", QUOTA).await;
    let said = operator.condition("DatabaseReady").await;
    assert!(!said.holds && said.message.contains("StatefulSet shop-postgres") && said.message.contains(QUOTA), "{said:?}");
    assert!(!operator.condition("Ready").await.holds);
}

#[tokio::test]
async fn pods_that_a_deployment_cannot_create_are_reported_beside_those_that_serve() {
    let mut operator = settled("replica-failure").await;
    operator.controllers().set_deployment_condition("shop-api", "ReplicaFailure", "True", "FailedCreate", QUOTA).await;
    assert_degraded(&mut operator, "FailedCreate", QUOTA).await;
    let said = operator.condition("ApiAvailable").await;
    assert!(said.holds && said.message.contains(QUOTA), "{said:?}");

    let deadline = r#"ReplicaSet "shop-api-7d4b9c" has timed out progressing."#;
    operator.controllers().set_deployment_condition("shop-api", "Progressing", "False", "ProgressDeadlineExceeded", deadline).await;
    assert_degraded(&mut operator, "ProgressDeadlineExceeded", deadline).await;

    operator.controllers().lose_all_pods_of("shop-api").await;
    operator.controllers().set_deployment_condition("shop-api", "ReplicaFailure", "True", "FailedCreate", QUOTA).await;
    operator.reconcile().await;
    let said = operator.condition("ApiAvailable").await;
    assert!(!said.holds && said.reason == "FailedCreate" && said.message.contains(QUOTA), "{said:?}");
}

#[tokio::test]
async fn what_is_wrong_is_kept_while_pods_cannot_be_listed() {
    let mut operator = settled("unlisted").await;
    operator.controllers().pod_that_cannot_start("shop-api", "ImagePullBackOff", "Back-off pulling image").await;
    assert_degraded(&mut operator, "ImagePullBackOff", "Back-off pulling image").await;
    operator.wire().begin();
    operator.wire().plan(Call { verb: Verb::GET, path: "pods".into(), occurrence: 1 }, Fault::Refused);
    assert_degraded(&mut operator, "ImagePullBackOff", "Back-off pulling image").await;
    assert_eq!(operator.wire().injected(), 1);
}

#[tokio::test]
async fn a_migration_leaves_the_catalog_ready_while_the_previous_release_serves() {
    let mut operator = settled("ready-migration").await;
    let edited = with(full(), "/api/resources/limits/memory", json!("2Gi"));
    operator.apply(&edited).await.unwrap();
    let said = report(&mut operator, "Ready").await;
    assert!(said.holds && said.reason == "PreviousReleaseServes", "{said:?}");
    let said = operator.condition("Progressing").await;
    assert!(said.holds && said.reason == "Migrating", "{said:?}");
    assert!(!operator.condition("Migrated").await.holds);
    operator.controllers().lose_all_pods_of("shop-api").await;
    assert!(!report(&mut operator, "Ready").await.holds, "no pod serves");
    operator.controllers().roll_out_deployments().await;
    operator.settle().await;
}

#[tokio::test]
async fn a_catalog_whose_first_migration_runs_is_not_ready() {
    let (mut operator, _) = migrating("first-migration").await;
    let said = report(&mut operator, "Ready").await;
    assert!(!said.holds && said.reason == "MigrationRunning", "{said:?}");
}
