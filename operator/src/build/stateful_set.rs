//! StatefulSets of the embedded parts: one pod each, never two at once on the same volume.

use k8s_openapi::api::{
    apps::v1::{StatefulSet, StatefulSetSpec},
    core::v1::PodTemplateSpec,
};

use super::{
    metadata::{Component, metadata, selector},
    nats, postgres,
};
use crate::validate::{DatabasePlan, MessagingPlan, Plan};

/// The StatefulSets.
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
            // Otherwise a pod that never becomes ready would be waited for, and a corrected spec would not replace it.
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
