//! Configuration files.

use k8s_openapi::api::core::v1::ConfigMap;

use super::nats;
use crate::{
    metadata::{Component, metadata},
    validate::{MessagingPlan, Plan},
};

/// Builds the configuration of the embedded NATS, if the plan has one.
pub fn config_maps(plan: &Plan) -> Vec<ConfigMap> {
    let MessagingPlan::Embedded(messaging) = &plan.messaging else { return Vec::new() };
    vec![ConfigMap {
        metadata: metadata(plan, plan.shop.named("nats"), Component::Nats),
        data: Some([(nats::FILE.to_owned(), nats::configuration(plan, messaging))].into()),
        ..ConfigMap::default()
    }]
}
