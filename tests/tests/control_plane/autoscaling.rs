//! What autoscalers report of themselves is in the status of the Catalog.

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

async fn settled(stem: &str, spec: &Value) -> Operator {
    let mut operator = Operator::new(stem).await;
    operator.apply(spec).await.unwrap();
    operator.settle().await;
    operator
}

/// A controller writes these conditions.
async fn report(operator: &Operator, resource: &ApiResource, name: &str, conditions: Value) {
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
    let mut operator = settled("no-metrics", &scaled()).await;
    assert!(operator.condition("AutoscalingReady").await.holds);
    let message = "unable to get metrics for resource cpu: no metrics returned from resource metrics API";
    let condition = json!([{
        "type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric", "message": message,
        "lastTransitionTime": Timestamp::now().round(k8s_openapi::jiff::Unit::Second).unwrap(),
    }]);
    report(&operator, &definitions::resource_of::<HorizontalPodAutoscaler>(), "shop-api", condition).await;
    operator.reconcile().await;
    let said = operator.condition("AutoscalingReady").await;
    assert!(!said.holds && said.reason == "FailedGetResourceMetric" && said.message.contains(message), "{said:?}");
    assert!(!operator.condition("Degraded").await.holds, "a new pod has no metrics for a moment");
    operator.pass(SignedDuration::from_mins(3));
    operator.reconcile().await;
    let said = operator.condition("Degraded").await;
    assert!(said.holds && said.message.contains("HorizontalPodAutoscaler shop-api"), "{said:?}");
    assert!(operator.condition("Ready").await.holds, "the shop serves without its autoscaler");
}

#[tokio::test]
async fn a_second_autoscaler_of_a_deployment_is_named_until_it_is_deleted() {
    for (stem, spec, target) in
        [("second", scaled(), "shop-api"), ("second-fixed", with(minimal(), "/tracker", json!({"replicas": 2})), "shop-tracker")]
    {
        let mut operator = settled(stem, &spec).await;
        let foreign = json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "legacy"},
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}, "minReplicas": 1, "maxReplicas": 3},
        });
        operator.namespace().apply(&foreign).await.unwrap();
        if target == "shop-api" {
            operator.controllers().run_keda().await;
        }
        operator.pass(SignedDuration::from_mins(3));
        operator.reconcile().await;
        for (condition, holds) in [("AutoscalingReady", false), ("Degraded", true)] {
            let said = operator.condition(condition).await;
            assert!(said.holds == holds && said.reason == "ForeignAutoscaler", "{said:?}");
            assert!(said.message.contains("legacy") && said.message.contains(target), "{said:?}");
        }
        let autoscalers = operator.namespace().api::<HorizontalPodAutoscaler>();
        autoscalers.delete("legacy", &DeleteParams::default()).await.unwrap();
        operator.settle().await;
        assert!(operator.condition("AutoscalingReady").await.holds);
        assert!(!operator.condition("Degraded").await.holds);
    }
}

#[tokio::test]
async fn a_worker_that_keda_scaled_to_zero_gets_a_pod_while_its_triggers_cannot_be_read() {
    let mut operator = settled("blind", &full()).await;
    operator.controllers().scale("shop-notifier", 0).await;
    operator.settle().await;
    assert_eq!(replicas(&operator, "shop-notifier").await, Some(0));
    let failing = json!([
        {"type": "Ready", "status": "False", "reason": "TriggerError", "message": "Triggers defined in ScaledObject are not working correctly"},
        {"type": "Fallback", "status": "True", "reason": "FallbackExists", "message": "At least one trigger is falling back on this scaled object"},
    ]);
    report(&operator, &scaled_object(), "shop-notifier", failing).await;
    operator.settle().await;
    assert_eq!(replicas(&operator, "shop-notifier").await, Some(1));
    let said = operator.condition("Degraded").await;
    assert!(said.holds && said.message.contains("ScaledObject shop-notifier: Ready is False (TriggerError)"), "{said:?}");
    report(&operator, &scaled_object(), "shop-notifier", json!([{"type": "Ready", "status": "True", "reason": "ScaledObjectReady"}])).await;
    operator.controllers().scale("shop-notifier", 0).await;
    operator.settle().await;
    assert_eq!(replicas(&operator, "shop-notifier").await, Some(0), "KEDA scales to 0 again");
    assert!(!operator.condition("Degraded").await.holds);
}

#[tokio::test]
async fn keda_that_is_installed_and_does_not_run_is_reported_and_workers_run() {
    let mut operator = settled("keda-stopped", &full()).await;
    operator.controllers().scale("shop-notifier", 0).await;
    operator.settle().await;
    assert!(operator.condition("AutoscalingReady").await.holds, "KEDA takes a moment");
    operator.pass(SignedDuration::from_mins(1));
    operator.settle().await;
    let said = operator.condition("AutoscalingReady").await;
    assert!(
        !said.holds && said.reason == "KedaNotRunning" && said.message.contains("ScaledObject shop-notifier has no status"),
        "{said:?}"
    );
    assert_eq!(replicas(&operator, "shop-notifier").await, Some(1));
    operator.pass(SignedDuration::from_mins(1));
    operator.settle().await;
    let said = operator.condition("Degraded").await;
    assert!(said.holds && said.reason == "KedaNotRunning", "{said:?}");

    operator.controllers().run_keda().await;
    operator.controllers().scale("shop-notifier", 0).await;
    operator.settle().await;
    assert_eq!(replicas(&operator, "shop-notifier").await, Some(0), "KEDA scales to 0 again");
    assert!(operator.condition("AutoscalingReady").await.holds && !operator.condition("Degraded").await.holds);
}

#[tokio::test]
async fn a_scaled_object_that_is_paused_is_reported_and_left_alone() {
    let mut operator = settled("keda-paused", &full()).await;
    let paused = Patch::Merge(json!({"metadata": {"annotations": {"autoscaling.keda.sh/paused-replicas": "0"}}}));
    operator.namespace().dynamic(&scaled_object()).patch("shop-tracker", &PatchParams::default(), &paused).await.unwrap();
    operator.controllers().scale("shop-tracker", 0).await;
    operator.reconcile().await;
    assert_eq!(replicas(&operator, "shop-tracker").await, Some(0));
    let said = operator.condition("AutoscalingReady").await;
    assert!(!said.holds && said.reason == "Paused" && said.message.contains("ScaledObject shop-tracker"), "{said:?}");
    let said = operator.condition("TrackerAvailable").await;
    assert!(!said.holds && said.reason == "NoReplicas", "{said:?}");
}

#[tokio::test]
async fn kedas_own_autoscaler_is_not_a_second_one_and_what_it_reports_is_quoted() {
    let mut operator = settled("keda-hpa", &full()).await;
    let owner = operator.namespace().dynamic(&scaled_object()).get("shop-tracker").await.unwrap();
    let made = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "keda-hpa-shop-tracker", "ownerReferences": [{
            "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "shop-tracker", "uid": owner.uid(), "controller": true,
        }]},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop-tracker"}, "maxReplicas": 3},
    });
    operator.namespace().apply(&made).await.unwrap();
    operator.controllers().run_keda().await;
    operator.pass(SignedDuration::from_mins(3));
    operator.settle().await;
    let said = operator.condition("AutoscalingReady").await;
    assert!(said.holds, "{said:?}");

    let message = "unable to get external metric shops/s0-nats-jetstream: the server is currently unable to handle the request";
    let condition = json!([{
        "type": "ScalingActive", "status": "False", "reason": "FailedGetExternalMetric", "message": message,
        "lastTransitionTime": Timestamp::now().round(k8s_openapi::jiff::Unit::Second).unwrap(),
    }]);
    report(&operator, &definitions::resource_of::<HorizontalPodAutoscaler>(), "keda-hpa-shop-tracker", condition).await;
    operator.reconcile().await;
    let said = operator.condition("AutoscalingReady").await;
    assert!(!said.holds && said.message.contains("keda-hpa-shop-tracker") && said.message.contains(message), "{said:?}");
}
