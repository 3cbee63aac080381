//! The previous database password stays valid while the API server rejects the rollout of a rotation, however long that lasts.

use catalog_operator::crd::Catalog;
use catalog_tests::{
    control_plane::{
        Operator,
        admission::{RejectedUpdates, create_quota},
        operator::{NAME, ReconcileOutcome},
        specs::full,
    },
    wait::{check, eventually},
};
use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::Secret},
    jiff::SignedDuration,
};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

const ROTATE: &str = "catalog.rs/rotate-database-password";
const BOTH: [&str; 4] = ["catalog_a", "catalog_b", "changed-at", "username"];
const ACTIVE: [&str; 3] = ["catalog_b", "changed-at", "username"];

/// Returns an operator whose migration has logged in with the new password, so that the next reconcile replaces the pods.
async fn before_rollout(stem: &str) -> Operator {
    let mut operator = Operator::new(stem).await;
    operator.apply(&full()).await.unwrap();
    operator.reconcile_until_ready().await;
    operator.advance_clock(SignedDuration::from_hours(2));
    let annotation = json!({"metadata": {"annotations": {ROTATE: (operator.now() - SignedDuration::from_hours(1)).to_string()}}});
    let catalogs = operator.namespace().api::<Catalog>();
    catalogs.patch(NAME, &PatchParams::default(), &Patch::Merge(annotation)).await.unwrap();
    assert!(matches!(operator.reconcile().await, ReconcileOutcome::Succeeded));
    assert_eq!(keys(&operator).await, BOTH);
    operator.controllers().complete_all().await;
    operator
}

/// Returns the keys of the Secret with the passwords.
async fn keys(operator: &Operator) -> Vec<String> {
    operator.namespace().api::<Secret>().get("shop-postgres").await.unwrap().data.unwrap().into_keys().collect()
}

/// Returns the login role of a Deployment, or `None` if the Deployment doesn't exist.
async fn login(operator: &Operator, name: &str) -> Option<String> {
    let deployment = operator.namespace().api::<Deployment>().get_opt(name).await.unwrap()?;
    let variables = deployment.spec.template.spec?.containers.remove(0).env?;
    variables.into_iter().find(|variable| variable.name == "PGUSER")?.value
}

/// Reconciles for an hour while the API server rejects `Deployment shop-tracker` with this text. Other Deployments are rolled out.
async fn assert_both_passwords_stay_while_rejected(operator: &mut Operator, text: &str) {
    for _ in 0..4 {
        let ended = operator.reconcile().await;
        assert!(matches!(ended, ReconcileOutcome::Failed(_)), "{ended:?}");
        operator.controllers().roll_out_deployments_at(operator.now()).await;
        assert_eq!(keys(operator).await, BOTH, "pods of shop-tracker use the previous password");
        operator.advance_clock(SignedDuration::from_mins(15));
    }
    assert_eq!(login(operator, "shop-api").await.as_deref(), Some("catalog_b"));
    let condition = operator.condition("Degraded").await;
    let names_both = condition.message.contains("Deployment shop-tracker") && condition.message.contains(text);
    assert!(condition.is_true && names_both, "{condition:?}");
    let condition = operator.condition("Complete").await;
    assert!(!condition.is_true && condition.reason == "RotationBlocked", "{condition:?}");
}

/// The previous password is removed five minutes after a rollout that is no longer rejected.
async fn assert_the_previous_password_expires_after_the_rollout(operator: &mut Operator) {
    assert!(matches!(operator.reconcile().await, ReconcileOutcome::Succeeded));
    operator.controllers().roll_out_deployments_at(operator.now()).await;
    operator.reconcile_until_ready().await;
    assert_eq!(login(operator, "shop-tracker").await.as_deref(), Some("catalog_b"));
    assert_eq!(keys(operator).await, BOTH, "pods of shop-tracker may be draining");
    operator.advance_clock(SignedDuration::from_mins(6));
    operator.reconcile_until_ready().await;
    assert_eq!(keys(operator).await, ACTIVE);
}

/// Rejects updates of `Deployment shop-tracker` in the namespace of the operator.
async fn reject_updates(operator: &Operator, message: &str) {
    let unless = "object.metadata.name != 'shop-tracker'";
    let rejected = RejectedUpdates { group: "apps", resource: "deployments", unless, message, reason: "Invalid" };
    rejected.create_in(operator.namespace()).await;
    eventually("the policy is in force", async || check(!accepts_updates(operator).await, || "the update is accepted")).await;
}

async fn accept_updates(operator: &Operator) {
    RejectedUpdates::delete_in(operator.namespace()).await;
    eventually("the policy is no longer in force", async || check(accepts_updates(operator).await, || "the update is rejected")).await;
}

async fn accepts_updates(operator: &Operator) -> bool {
    let dry_run = PatchParams { dry_run: true, ..PatchParams::default() };
    let edit = Patch::Merge(json!({"metadata": {"annotations": {"example.com/edited": "yes"}}}));
    operator.namespace().api::<Deployment>().patch("shop-tracker", &dry_run, &edit).await.is_ok()
}

#[tokio::test]
async fn the_previous_password_stays_while_an_admission_policy_rejects_a_deployment() {
    let mut operator = before_rollout("rejected-by-policy").await;
    reject_updates(&operator, "images must be signed").await;
    assert_both_passwords_stay_while_rejected(&mut operator, "images must be signed").await;
    assert_eq!(login(&operator, "shop-tracker").await.as_deref(), Some("catalog_a"));
    accept_updates(&operator).await;
    assert_the_previous_password_expires_after_the_rollout(&mut operator).await;
}

#[tokio::test]
async fn the_previous_password_stays_while_a_quota_rejects_a_deployment_whose_pods_may_still_run() {
    let mut operator = before_rollout("rejected-by-quota").await;
    let quotas = create_quota(operator.namespace(), "team", "count/deployments.apps", "3", "3").await;
    // Its pods become orphans and run on.
    operator.namespace().api::<Deployment>().delete("shop-tracker", &DeleteParams::orphan()).await.unwrap();
    remove_finalizers(&operator, "shop-tracker").await;
    assert_both_passwords_stay_while_rejected(&mut operator, "exceeded quota: team").await;
    assert_eq!(login(&operator, "shop-tracker").await, None);
    quotas.delete("team", &DeleteParams::default()).await.unwrap();
    assert_the_previous_password_expires_after_the_rollout(&mut operator).await;
}

/// Removes the finalizer `orphan`, as the garbage collector does.
async fn remove_finalizers(operator: &Operator, name: &str) {
    let none = Patch::Merge(json!({"metadata": {"finalizers": Value::Null}}));
    operator.namespace().api::<Deployment>().patch(name, &PatchParams::default(), &none).await.unwrap();
}

/// The Deployment is updated, but a quota rejects its new pods, so its old pods run on.
#[tokio::test]
async fn the_previous_password_stays_while_a_quota_rejects_the_new_pods() {
    let mut operator = before_rollout("pods-rejected").await;
    assert!(matches!(operator.reconcile().await, ReconcileOutcome::Succeeded));
    assert_eq!(login(&operator, "shop-tracker").await.as_deref(), Some("catalog_b"));
    let deployments = operator.namespace().api::<Deployment>();
    let generation = deployments.get("shop-tracker").await.unwrap().metadata.generation;
    operator.controllers().roll_out_deployments_at(operator.now()).await;
    let forbidden = "pods \"shop-tracker-2\" is forbidden: exceeded quota: team";
    for (reason, kind) in [("ReplicaSetUpdated", "True"), ("ProgressDeadlineExceeded", "False")] {
        let status = json!({"status": {
            "observedGeneration": generation, "replicas": 1, "updatedReplicas": 0, "readyReplicas": 1, "availableReplicas": 1,
            "conditions": [
                {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", "message": ""},
                {"type": "Progressing", "status": kind, "reason": reason, "message": "", "lastUpdateTime": operator.now().to_string()},
                {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": forbidden},
            ],
        }});
        deployments.patch_status("shop-tracker", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
        operator.advance_clock(SignedDuration::from_mins(30));
        assert!(matches!(operator.reconcile().await, ReconcileOutcome::Succeeded));
        assert_eq!(keys(&operator).await, BOTH, "{reason}");
        let condition = operator.condition("Degraded").await;
        assert!(condition.is_true && condition.message.contains(forbidden), "{condition:?}");
    }
    let cleared = Patch::Merge(json!({"status": {"observedGeneration": 0}}));
    deployments.patch_status("shop-tracker", &PatchParams::default(), &cleared).await.unwrap();
    assert_the_previous_password_expires_after_the_rollout(&mut operator).await;
}
