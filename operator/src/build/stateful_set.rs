//! StatefulSets of the embedded servers. Each has one pod, so that no two pods use a volume at the same time.

use k8s_openapi::api::{
    apps::v1::{StatefulSet, StatefulSetSpec},
    core::v1::PodTemplateSpec,
};

use super::{nats, postgres};
use crate::{
    metadata::{Component, metadata, selector},
    validate::{DatabasePlan, MessagingPlan, Plan},
};

/// Builds the StatefulSets of the embedded servers.
pub fn stateful_sets(plan: &Plan) -> Vec<StatefulSet> {
    let mut sets = Vec::new();
    if let DatabasePlan::Embedded(database) = &plan.database {
        sets.push(stateful_set(plan, Component::Postgres, postgres::template(plan, database)));
    }
    if let MessagingPlan::Embedded(messaging) = &plan.messaging {
        sets.push(stateful_set(plan, Component::Nats, nats::template(plan, messaging)));
    }
    sets
}

fn stateful_set(plan: &Plan, component: Component, template: PodTemplateSpec) -> StatefulSet {
    let name = plan.shop.named(component.as_str());
    StatefulSet {
        metadata: metadata(plan, name.clone(), component),
        spec: StatefulSetSpec {
            replicas: Some(1),
            // With `OrderedReady`, a pod that never becomes ready would not be replaced after the spec was corrected.
            pod_management_policy: Some("Parallel".into()),
            revision_history_limit: Some(3),
            selector: selector(plan, component),
            service_name: Some(name),
            template,
            ..StatefulSetSpec::default()
        },
        ..StatefulSet::default()
    }
}
