//! Scaling of the API by CPU use.

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec, MetricTarget, ResourceMetricSource,
};

use crate::{
    metadata::{Component, metadata},
    validate::{ApiScale, Plan},
};

/// Builds the autoscaler of the API, if the plan has one.
pub fn autoscalers(plan: &Plan) -> Vec<HorizontalPodAutoscaler> {
    let ApiScale::Cpu { min, max, target } = plan.api.scale else { return Vec::new() };
    let name = plan.shop.named("api");
    let cpu = ResourceMetricSource {
        name: "cpu".into(),
        target: MetricTarget { type_: "Utilization".into(), average_utilization: Some(target), ..MetricTarget::default() },
    };
    vec![HorizontalPodAutoscaler {
        metadata: metadata(plan, name.clone(), Component::Api),
        spec: HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference { api_version: Some("apps/v1".into()), kind: "Deployment".into(), name },
            min_replicas: Some(min),
            max_replicas: max,
            metrics: Some(vec![MetricSpec { type_: "Resource".into(), resource: Some(cpu), ..MetricSpec::default() }]),
            ..HorizontalPodAutoscalerSpec::default()
        },
        ..HorizontalPodAutoscaler::default()
    }]
}

#[cfg(test)]
mod tests {
    use super::{super::samples, *};

    #[test]
    fn an_api_with_fixed_replicas_has_no_autoscaler() {
        assert!(autoscalers(&samples::minimal()).is_empty());
        let autoscaler = autoscalers(&samples::full()).remove(0).spec;
        assert_eq!((autoscaler.min_replicas, autoscaler.max_replicas), (Some(2), 10));
    }
}
