//! Builds the Kubernetes objects of a plan. The builders are pure: the same plan results in the same objects, byte for byte.

mod config_map;
mod container;
mod deployment;
mod environment;
mod files;
mod horizontal_pod_autoscaler;
mod identity;
pub mod keda;
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

/// The objects of a Catalog, in the order in which they are applied.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Objects {
    /// Objects that the migration needs.
    pub prerequisites: Prerequisites,
    /// The migration Job. Workloads are applied after it has succeeded.
    pub migration: Job,
    /// Objects that need the migrated database.
    pub workloads: Workloads,
}

/// Objects that the migration needs, in the order in which they are applied.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prerequisites {
    /// Claims of data volumes. They are never pruned.
    pub claims: Vec<PersistentVolumeClaim>,
    /// Metadata of the generated Secrets that exist, without their content. The uid keeps an apply from creating a Secret without
    /// content. They are never pruned.
    pub secrets: Vec<Secret>,
    /// The service account of all pods.
    pub service_accounts: Vec<ServiceAccount>,
    /// Configuration files.
    pub config_maps: Vec<ConfigMap>,
    /// Services of the API and of the embedded servers.
    pub services: Vec<Service>,
    /// Embedded PostgreSQL and NATS.
    pub stateful_sets: Vec<StatefulSet>,
}

/// Objects that need the migrated database, in the order in which they are applied.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Workloads {
    /// API and workers.
    pub deployments: Vec<Deployment>,
    /// Limits of pods that are evicted at the same time.
    pub pod_disruption_budgets: Vec<PodDisruptionBudget>,
    /// Autoscaler of the API, by CPU use.
    pub autoscalers: Vec<HorizontalPodAutoscaler>,
    /// Credentials of KEDA triggers.
    pub trigger_authentications: Vec<TriggerAuthentication>,
    /// Autoscalers of the workers, by pending work.
    pub scaled_objects: Vec<ScaledObject>,
}

/// Builds the objects of a plan.
#[must_use]
pub fn build(plan: &Plan) -> Objects {
    Objects {
        prerequisites: Prerequisites {
            claims: persistent_volume_claim::claims(plan),
            secrets: identity::existing_secrets(plan),
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
