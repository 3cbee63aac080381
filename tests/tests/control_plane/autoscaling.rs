//! The condition `AutoscalingReady` reports what `HorizontalPodAutoscaler`s and `ScaledObject`s report.

use catalog_tests::control_plane::{
    Operator, definitions,
    specs::{full, minimal, scaled, with},
};
use k8s_openapi::{
    api::{apps::v1::Deployment, autoscaling::v2::HorizontalPodAutoscaler},
    jiff::{SignedDuration, Timestamp},
};
use kube::{
    ResourceExt,
    api::{ApiResource, DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};

async fn ready_operator(stem: &str, spec: &Value) -> Operator {
    let mut operator = Operator::new(stem).await;
    operator.apply(spec).await.unwrap();
    operator.reconcile_until_ready().await;
    operator
}

/// Sets conditions of an object as its controller does.
async fn set_conditions(operator: &Operator, resource: &ApiResource, name: &str, conditions: Value) {
    let status = Patch::Merge(json!({"status": {"conditions": conditions, "currentMetrics": [], "desiredReplicas": 2}}));
    operator.namespace().dynamic(resource).patch_status(name, &PatchParams::default(), &status).await.unwrap();
}

fn scaled_object() -> ApiResource {
    definitions::resource("keda.sh", "v1alpha1", "ScaledObject")
}

async fn replicas(operator: &Operator, name: &str) -> Option<i32> {
    operator.namespace().api::<Deployment>().get(name).await.unwrap().spec.replicas
}

#[tokio::test]
async fn an_autoscaler_without_metrics_is_reported_and_degrades_the_catalog_after_two_minutes() {
    let mut operator = ready_operator("no-metrics", &scaled()).await;
    assert!(operator.condition("AutoscalingReady").await.is_true);
    let message = "unable to get metrics for resource cpu: no metrics returned from resource metrics API";
    let condition = json!([{
        "type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric", "message": message,
        "lastTransitionTime": Timestamp::now().round(k8s_openapi::jiff::Unit::Second).unwrap(),
    }]);
    set_conditions(&operator, &definitions::resource_of::<HorizontalPodAutoscaler>(), "shop-api", condition).await;
    operator.reconcile().await;
    let condition = operator.condition("AutoscalingReady").await;
    assert!(!condition.is_true && condition.reason == "FailedGetResourceMetric" && condition.message.contains(message), "{condition:?}");
    assert!(!operator.condition("Degraded").await.is_true, "new pods have no metrics yet");
    operator.advance_clock(SignedDuration::from_mins(3));
    operator.reconcile().await;
    let condition = operator.condition("Degraded").await;
    assert!(condition.is_true && condition.message.contains("HorizontalPodAutoscaler shop-api"), "{condition:?}");
    assert!(operator.condition("Ready").await.is_true, "the shop serves without its autoscaler");
}

#[tokio::test]
async fn a_second_autoscaler_of_a_deployment_is_reported_until_it_is_deleted() {
    for (stem, spec, target) in
        [("second", scaled(), "shop-api"), ("second-fixed", with(minimal(), "/tracker", json!({"replicas": 2})), "shop-tracker")]
    {
        let mut operator = ready_operator(stem, &spec).await;
        let foreign = json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "legacy"},
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}, "minReplicas": 1, "maxReplicas": 3},
        });
        operator.namespace().apply(&foreign).await.unwrap();
        if target == "shop-api" {
            operator.controllers().run_keda().await;
        }
        operator.advance_clock(SignedDuration::from_mins(3));
        operator.reconcile().await;
        for (condition, holds) in [("AutoscalingReady", false), ("Degraded", true)] {
            let condition = operator.condition(condition).await;
            assert!(condition.is_true == holds && condition.reason == "ForeignAutoscaler", "{condition:?}");
            assert!(condition.message.contains("legacy") && condition.message.contains(target), "{condition:?}");
        }
        let autoscalers = operator.namespace().api::<HorizontalPodAutoscaler>();
        autoscalers.delete("legacy", &DeleteParams::default()).await.unwrap();
        operator.reconcile_until_ready().await;
        assert!(operator.condition("AutoscalingReady").await.is_true);
        assert!(!operator.condition("Degraded").await.is_true);
    }
}

#[tokio::test]
async fn a_worker_that_keda_scaled_to_zero_gets_a_pod_while_its_triggers_cannot_be_read() {
    let mut operator = ready_operator("fallback", &full()).await;
    operator.controllers().scale("shop-notifier", 0).await;
    operator.reconcile_until_ready().await;
    assert_eq!(replicas(&operator, "shop-notifier").await, Some(0));
    let failing = json!([
        {
            "type": "Ready", "status": "False", "reason": "TriggerError",
            "message": "Triggers defined in ScaledObject are not working correctly",
        },
        {
            "type": "Fallback", "status": "True", "reason": "FallbackExists",
            "message": "At least one trigger is falling back on this scaled object",
        },
    ]);
    set_conditions(&operator, &scaled_object(), "shop-notifier", failing).await;
    operator.reconcile_until_ready().await;
    assert_eq!(replicas(&operator, "shop-notifier").await, Some(1));
    let condition = operator.condition("Degraded").await;
    assert!(condition.is_true && condition.message.contains("ScaledObject shop-notifier: Ready is False (TriggerError)"), "{condition:?}");
    set_conditions(
        &operator,
        &scaled_object(),
        "shop-notifier",
        json!([{"type": "Ready", "status": "True", "reason": "ScaledObjectReady"}]),
    )
    .await;
    operator.controllers().scale("shop-notifier", 0).await;
    operator.reconcile_until_ready().await;
    assert_eq!(replicas(&operator, "shop-notifier").await, Some(0), "KEDA scales to 0 again");
    assert!(!operator.condition("Degraded").await.is_true);
}

#[tokio::test]
async fn workers_run_and_a_warning_is_reported_while_keda_is_installed_but_does_not_run() {
    let mut operator = ready_operator("keda-stopped", &full()).await;
    operator.controllers().scale("shop-notifier", 0).await;
    operator.reconcile_until_ready().await;
    assert!(operator.condition("AutoscalingReady").await.is_true, "KEDA may need some seconds");
    operator.advance_clock(SignedDuration::from_mins(1));
    operator.reconcile_until_ready().await;
    let condition = operator.condition("AutoscalingReady").await;
    assert!(
        !condition.is_true
            && condition.reason == "KedaNotRunning"
            && condition.message.contains("ScaledObject shop-notifier has no status"),
        "{condition:?}"
    );
    assert_eq!(replicas(&operator, "shop-notifier").await, Some(1));
    operator.advance_clock(SignedDuration::from_mins(1));
    operator.reconcile_until_ready().await;
    let condition = operator.condition("Degraded").await;
    assert!(condition.is_true && condition.reason == "KedaNotRunning", "{condition:?}");

    operator.controllers().run_keda().await;
    operator.controllers().scale("shop-notifier", 0).await;
    operator.reconcile_until_ready().await;
    assert_eq!(replicas(&operator, "shop-notifier").await, Some(0), "KEDA scales to 0 again");
    assert!(operator.condition("AutoscalingReady").await.is_true && !operator.condition("Degraded").await.is_true);
}

#[tokio::test]
async fn a_paused_scaled_object_is_reported_and_its_replicas_are_kept() {
    let mut operator = ready_operator("keda-paused", &full()).await;
    let paused = Patch::Merge(json!({"metadata": {"annotations": {"autoscaling.keda.sh/paused-replicas": "0"}}}));
    operator.namespace().dynamic(&scaled_object()).patch("shop-tracker", &PatchParams::default(), &paused).await.unwrap();
    operator.controllers().scale("shop-tracker", 0).await;
    operator.reconcile().await;
    assert_eq!(replicas(&operator, "shop-tracker").await, Some(0));
    let condition = operator.condition("AutoscalingReady").await;
    assert!(!condition.is_true && condition.reason == "Paused" && condition.message.contains("ScaledObject shop-tracker"), "{condition:?}");
    let condition = operator.condition("TrackerAvailable").await;
    assert!(!condition.is_true && condition.reason == "NoReplicas", "{condition:?}");
}

#[tokio::test]
async fn the_autoscaler_of_keda_is_not_foreign_and_its_failures_are_reported() {
    let mut operator = ready_operator("keda-hpa", &full()).await;
    let owner = operator.namespace().dynamic(&scaled_object()).get("shop-tracker").await.unwrap();
    let keda_autoscaler = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "keda-hpa-shop-tracker", "ownerReferences": [{
            "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "shop-tracker", "uid": owner.uid(), "controller": true,
        }]},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop-tracker"}, "maxReplicas": 3},
    });
    operator.namespace().apply(&keda_autoscaler).await.unwrap();
    operator.controllers().run_keda().await;
    operator.advance_clock(SignedDuration::from_mins(3));
    operator.reconcile_until_ready().await;
    let condition = operator.condition("AutoscalingReady").await;
    assert!(condition.is_true, "{condition:?}");

    let message = "unable to get external metric shops/s0-nats-jetstream: the server is currently unable to handle the request";
    let condition = json!([{
        "type": "ScalingActive", "status": "False", "reason": "FailedGetExternalMetric", "message": message,
        "lastTransitionTime": Timestamp::now().round(k8s_openapi::jiff::Unit::Second).unwrap(),
    }]);
    set_conditions(&operator, &definitions::resource_of::<HorizontalPodAutoscaler>(), "keda-hpa-shop-tracker", condition).await;
    operator.reconcile().await;
    let condition = operator.condition("AutoscalingReady").await;
    assert!(
        !condition.is_true && condition.message.contains("keda-hpa-shop-tracker") && condition.message.contains(message),
        "{condition:?}"
    );
}
