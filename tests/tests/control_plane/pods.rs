//! Conditions report why pods don't run, for as long as they don't.

use catalog_tests::control_plane::{
    Call, Fault, Operator,
    call_recorder::Verb,
    fake_controllers::JobEnd,
    operator::Condition,
    specs::{full, with},
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

async fn ready_operator(stem: &str) -> Operator {
    let mut operator = Operator::new(stem).await;
    operator.apply(&full()).await.unwrap();
    operator.reconcile_until_ready().await;
    operator.controllers().run_keda().await;
    operator
}

/// Returns an operator with a running migration, and the name of the Job.
async fn migrating(stem: &str) -> (Operator, String) {
    let mut operator = Operator::new(stem).await;
    operator.apply(&full()).await.unwrap();
    operator.reconcile().await;
    operator.controllers().roll_out_stateful_sets().await;
    let job = operator.namespace().all::<Job>().await.remove(0).name_any();
    (operator, job)
}

async fn reconciled_condition(operator: &mut Operator, kind: &str) -> Condition {
    operator.reconcile().await;
    operator.condition(kind).await
}

async fn assert_degraded(operator: &mut Operator, reason: &str, text: &str) {
    let condition = reconciled_condition(operator, "Degraded").await;
    assert!(condition.is_true && condition.reason == reason && condition.message.contains(text), "{condition:?}");
}

async fn transition(operator: &Operator) -> Timestamp {
    let conditions = operator.catalog().await.unwrap().status.unwrap().conditions;
    conditions.into_iter().find(|condition| condition.type_ == "Degraded").unwrap().last_transition_time.0
}

fn pod_status(phase: &str, restarts: i32, is_ready: bool, state: &Value, last: &Value) -> Value {
    let container = json!({"ready": is_ready, "restartCount": restarts, "state": state, "lastState": last});
    json!({"phase": phase, "containerStatuses": [container]})
}

/// Truncates a time to whole seconds, as the API server does in the status of pods.
fn truncated(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap()
}

#[tokio::test]
async fn a_crash_loop_degrades_the_catalog_until_the_container_was_ready_for_two_minutes() {
    let mut operator = ready_operator("crash-loop").await;
    let pod = operator.controllers().create_pod::<Deployment>("shop-api").await;
    let ended = |at: Timestamp| {
        json!({"terminated": {
            "exitCode": 1, "reason": "Error", "startedAt": at, "finishedAt": at, "message": "settings are wrong: DATABASE_URL",
        }})
    };
    let backing_off = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container"}});
    let mut since = None;
    for restarts in 0..4 {
        let crash = ended(truncated(operator.now()));
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
                operator.controllers().mark_pods_unavailable("shop-api").await;
            }
            operator.controllers().set_pod_status(&pod, status).await;
            let condition = reconciled_condition(&mut operator, "Degraded").await;
            assert!(
                condition.is_true && condition.message.contains("settings are wrong: DATABASE_URL"),
                "{phase} after {restarts} restarts: {condition:?}"
            );
            let at = transition(&operator).await;
            assert_eq!(*since.get_or_insert(at), at, "Degraded changed in between: {phase} after {restarts} restarts");
            if phase == "waiting" {
                operator.advance_clock(SignedDuration::from_secs(60));
                running = json!({"running": {"startedAt": truncated(operator.now())}});
            }
        }
        assert!(operator.condition("Ready").await.is_true, "all pods are available");
    }
    // The clock also advances in real time.
    operator.advance_clock(SignedDuration::from_secs(90));
    assert_degraded(&mut operator, "CrashLoopBackOff", "restarted 4 times").await;
    operator.advance_clock(SignedDuration::from_secs(35));
    let condition = reconciled_condition(&mut operator, "Degraded").await;
    assert!(!condition.is_true, "{condition:?}");
}

#[tokio::test]
async fn a_failing_migration_is_reported_with_its_cause_until_it_succeeds() {
    let (mut operator, job) = migrating("failing").await;
    let condition = reconciled_condition(&mut operator, "Migrated").await;
    assert_eq!(condition.reason, "MigrationRunning");
    assert!(!operator.condition("Degraded").await.is_true);
    let pod = operator.controllers().create_pod::<Job>(&job).await;
    let now = truncated(Timestamp::now());
    let log = r#"{"timestamp":"2026-11-30T10:00:00Z","level":"ERROR","message":"password authentication failed for user \"shop\""}"#;
    let ended = json!({"terminated": {"exitCode": 1, "reason": "Error", "startedAt": now, "finishedAt": now, "message": log}});
    let backing_off = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}});
    let phases = [
        pod_status("Running", 0, false, &ended, &json!({})),
        pod_status("Running", 0, false, &backing_off, &ended),
        pod_status("Running", 1, true, &json!({"running": {"startedAt": now}}), &ended),
    ];
    for status in phases {
        operator.controllers().set_pod_status(&pod, status).await;
        assert_degraded(&mut operator, "MigrationFailing", "password authentication failed for user \"shop\"").await;
        let condition = operator.condition("Migrated").await;
        assert!(
            !condition.is_true && condition.reason == "MigrationFailing" && condition.message.contains("kubectl logs job/"),
            "{condition:?}"
        );
    }
    operator.controllers().finish_jobs(JobEnd::Complete).await;
    assert!(!reconciled_condition(&mut operator, "Degraded").await.is_true);
    operator.reconcile_until_ready().await;
}

#[tokio::test]
async fn a_pending_migration_is_reported_with_its_cause() {
    let (mut operator, job) = migrating("waiting").await;
    let pod = operator.controllers().create_pod::<Job>(&job).await;
    let unscheduled = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available"});
    operator.controllers().set_pod_status(&pod, json!({"phase": "Pending", "conditions": [unscheduled]})).await;
    assert_degraded(&mut operator, "Unschedulable", "0/1 nodes are available").await;

    let pulling = json!({"waiting": {"reason": "ErrImagePull", "message": "catalog:1.2.3: not found"}});
    let mut status = pod_status("Pending", 0, false, &pulling, &json!({}));
    status["conditions"] = json!([{"type": "PodScheduled", "status": "True"}]);
    operator.controllers().set_pod_status(&pod, status.clone()).await;
    assert_degraded(&mut operator, "ErrImagePull", "catalog:1.2.3: not found").await;

    // The status of a pod does not contain why a volume is not mounted; an Event does.
    status["containerStatuses"][0]["state"]["waiting"] = json!({"reason": "ContainerCreating", "message": null});
    operator.controllers().set_pod_status(&pod, status).await;
    let mount = "MountVolume.SetUp failed for volume \"database-ca\": secret \"database-ca\" not found";
    operator.controllers().publish_warning::<Pod>(&pod, "FailedMount", mount).await;
    assert!(!reconciled_condition(&mut operator, "Degraded").await.is_true, "the pod has just been created");
    operator.advance_clock(SignedDuration::from_secs(61));
    assert_degraded(&mut operator, "FailedMount", mount).await;
    assert!(operator.condition("Migrated").await.message.contains(mount));
}

#[tokio::test]
async fn a_migration_whose_pods_exceed_the_quota_is_reported_with_the_api_servers_message() {
    let (mut operator, job) = migrating("no-job-pods").await;
    operator.controllers().publish_warning::<Job>(&job, "FailedCreate", &format!("Error creating: {QUOTA}")).await;
    assert_degraded(&mut operator, "FailedCreate", QUOTA).await;
    let condition = operator.condition("Migrated").await;
    assert!(!condition.is_true && condition.message.contains(&format!("Job {job}")) && condition.message.contains(QUOTA), "{condition:?}");
}

#[tokio::test]
async fn a_server_whose_pod_exceeds_the_quota_is_reported_with_the_api_servers_message() {
    let mut operator = ready_operator("no-server-pods").await;
    let lost =
        json!({"status": {"replicas": 0, "readyReplicas": null, "availableReplicas": 0, "currentReplicas": 0, "updatedReplicas": 0}});
    let sets = operator.namespace().api::<StatefulSet>();
    sets.patch_status("shop-postgres", &kube::api::PatchParams::default(), &kube::api::Patch::Merge(lost)).await.unwrap();
    operator
        .controllers()
        .publish_warning::<StatefulSet>("shop-postgres", "FailedCreate", &format!("create Pod shop-postgres-0 failed error: {QUOTA}"))
        .await;
    assert_degraded(&mut operator, "FailedCreate", QUOTA).await;
    let condition = operator.condition("DatabaseReady").await;
    assert!(
        !condition.is_true && condition.message.contains("StatefulSet shop-postgres") && condition.message.contains(QUOTA),
        "{condition:?}"
    );
    assert!(!operator.condition("Ready").await.is_true);
}

#[tokio::test]
async fn a_deployment_that_cannot_create_pods_degrades_the_catalog_while_other_pods_serve() {
    let mut operator = ready_operator("replica-failure").await;
    operator.controllers().set_deployment_condition("shop-api", "ReplicaFailure", "True", "FailedCreate", QUOTA).await;
    assert_degraded(&mut operator, "FailedCreate", QUOTA).await;
    let condition = operator.condition("ApiAvailable").await;
    assert!(condition.is_true && condition.message.contains(QUOTA), "{condition:?}");

    let deadline = r#"ReplicaSet "shop-api-7d4b9c" has timed out progressing."#;
    operator.controllers().set_deployment_condition("shop-api", "Progressing", "False", "ProgressDeadlineExceeded", deadline).await;
    assert_degraded(&mut operator, "ProgressDeadlineExceeded", deadline).await;

    operator.controllers().mark_pods_unavailable("shop-api").await;
    operator.controllers().set_deployment_condition("shop-api", "ReplicaFailure", "True", "FailedCreate", QUOTA).await;
    operator.reconcile().await;
    let condition = operator.condition("ApiAvailable").await;
    assert!(!condition.is_true && condition.reason == "FailedCreate" && condition.message.contains(QUOTA), "{condition:?}");
}

#[tokio::test]
async fn the_degraded_condition_is_kept_while_pods_cannot_be_listed() {
    let mut operator = ready_operator("unlisted").await;
    operator.controllers().create_waiting_pod("shop-api", "ImagePullBackOff", "Back-off pulling image").await;
    assert_degraded(&mut operator, "ImagePullBackOff", "Back-off pulling image").await;
    operator.recorder().reset();
    operator.recorder().plan(Call { verb: Verb::GET, path: "pods".into(), occurrence: 1 }, Fault::NotSent);
    assert_degraded(&mut operator, "ImagePullBackOff", "Back-off pulling image").await;
    assert_eq!(operator.recorder().injected(), 1);
}

#[tokio::test]
async fn the_catalog_stays_ready_during_a_migration_while_the_previous_release_serves() {
    let mut operator = ready_operator("ready-migration").await;
    let edited = with(full(), "/api/resources/limits/memory", json!("2Gi"));
    operator.apply(&edited).await.unwrap();
    let condition = reconciled_condition(&mut operator, "Ready").await;
    assert!(condition.is_true && condition.reason == "PreviousReleaseServes", "{condition:?}");
    let condition = operator.condition("Progressing").await;
    assert!(condition.is_true && condition.reason == "Migrating", "{condition:?}");
    assert!(!operator.condition("Migrated").await.is_true);
    operator.controllers().mark_pods_unavailable("shop-api").await;
    assert!(!reconciled_condition(&mut operator, "Ready").await.is_true, "no pod serves");
    operator.controllers().roll_out_deployments().await;
    operator.reconcile_until_ready().await;
}

#[tokio::test]
async fn the_catalog_is_not_ready_during_its_first_migration() {
    let (mut operator, _) = migrating("first-migration").await;
    let condition = reconciled_condition(&mut operator, "Ready").await;
    assert!(!condition.is_true && condition.reason == "MigrationRunning", "{condition:?}");
}
