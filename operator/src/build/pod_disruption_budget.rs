//! Limits of pods that are evicted at the same time.

use k8s_openapi::{
    api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use crate::{
    metadata::{Component, metadata, selector},
    validate::Plan,
};

/// Builds a budget of one pod for each role. The embedded servers have none: each is a single pod, and a budget would block the drain of
/// its node.
pub fn pod_disruption_budgets(plan: &Plan) -> Vec<PodDisruptionBudget> {
    let workers = plan.workers().map(|(role, _)| Component::Worker(role));
    std::iter::once(Component::Api).chain(workers).map(|component| pod_disruption_budget(plan, component)).collect()
}

fn pod_disruption_budget(plan: &Plan, component: Component) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: metadata(plan, plan.shop.named(component.as_str()), component),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(selector(plan, component)),
            // A pod that isn't ready can be evicted without loss.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".into()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}
