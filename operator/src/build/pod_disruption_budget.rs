//! How many pods may be evicted at once.

use k8s_openapi::{
    api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::metadata::{Component, metadata, selector};
use crate::validate::Plan;

/// One pod of each role at a time. The embedded parts have none: of a single pod, none could go, and a
/// node could never be drained.
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
            // Pods that don't work protect nothing.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".into()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}
