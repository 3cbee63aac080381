//! A plan becomes objects. Pure: the same plan gives the same objects, byte for byte.

mod config_map;
mod container;
mod deployment;
mod environment;
mod files;
mod horizontal_pod_autoscaler;
mod identity;
pub mod keda;
mod metadata;
pub mod migration;
mod nats;
mod order;
mod persistent_volume_claim;
mod pod_disruption_budget;
mod postgres;
mod scaled_object;
mod secrets_hash;
mod service;
mod stateful_set;

use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    autoscaling::v2::HorizontalPodAutoscaler,
    batch::v1::Job,
    core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service, ServiceAccount},
    policy::v1::PodDisruptionBudget,
};

use crate::validate::Plan;
use keda::{ScaledObject, TriggerAuthentication};

pub use metadata::{Component, kept_metadata, retained_annotations};

/// What a Catalog becomes, in the order in which it is applied.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Objects {
    /// What the migration needs.
    pub prerequisites: Prerequisites,
    /// The gate: workloads are applied when it has succeeded.
    pub migration: Job,
    /// What needs the migrated database.
    pub workloads: Workloads,
}

/// What the migration needs, in the order in which it is applied.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prerequisites {
    /// Claims of data volumes. Never pruned.
    pub claims: Vec<PersistentVolumeClaim>,
    /// Metadata of generated Secrets that exist, with their uid where it is known, so that applying them
    /// never makes an empty one. Their content isn't declared. Never pruned.
    pub secrets: Vec<Secret>,
    /// The identity of every pod.
    pub service_accounts: Vec<ServiceAccount>,
    /// Configuration files.
    pub config_maps: Vec<ConfigMap>,
    /// Names in the cluster's DNS.
    pub services: Vec<Service>,
    /// Embedded PostgreSQL and NATS.
    pub stateful_sets: Vec<StatefulSet>,
}

/// What needs the migrated database, in the order in which it is applied.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Workloads {
    /// API and workers.
    pub deployments: Vec<Deployment>,
    /// How many pods may be evicted at once.
    pub pod_disruption_budgets: Vec<PodDisruptionBudget>,
    /// Scaling by CPU load.
    pub autoscalers: Vec<HorizontalPodAutoscaler>,
    /// Credentials of KEDA's triggers.
    pub trigger_authentications: Vec<TriggerAuthentication>,
    /// Scaling by waiting work.
    pub scaled_objects: Vec<ScaledObject>,
}

/// What `plan` becomes.
#[must_use]
pub fn build(plan: &Plan) -> Objects {
    Objects {
        prerequisites: Prerequisites {
            claims: persistent_volume_claim::claims(plan),
            secrets: identity::kept_secrets(plan),
            service_accounts: vec![identity::service_account(plan)],
            config_maps: config_map::config_maps(plan),
            services: service::services(plan),
            stateful_sets: stateful_set::stateful_sets(plan),
        },
        migration: migration::job(plan),
        workloads: Workloads {
            deployments: deployment::deployments(plan),
            pod_disruption_budgets: pod_disruption_budget::pod_disruption_budgets(plan),
            autoscalers: horizontal_pod_autoscaler::autoscalers(plan),
            trigger_authentications: scaled_object::trigger_authentications(plan),
            scaled_objects: scaled_object::scaled_objects(plan),
        },
    }
}

#[cfg(test)]
mod rules;
#[cfg(test)]
pub(crate) mod samples;
