//! A plan becomes objects. Pure: the same plan gives the same objects, byte for byte.

pub mod keda;

use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    autoscaling::v2::HorizontalPodAutoscaler,
    batch::v1::Job,
    core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service, ServiceAccount},
    policy::v1::PodDisruptionBudget,
};

use crate::validate::Plan;
use keda::{ScaledObject, TriggerAuthentication};

/// What a Catalog becomes, in the order in which it is applied.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Objects {
    /// What the migration needs.
    pub foundation: Foundation,
    /// The gate: workloads are applied when it has succeeded.
    pub migration: Job,
    /// What needs the migrated database.
    pub workloads: Workloads,
}

/// What the migration needs, in the order in which it is applied.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Foundation {
    /// Claims of data volumes. Never pruned.
    pub claims: Vec<PersistentVolumeClaim>,
    /// Metadata of the generated Secrets, without their content: labels, and owner references under `deletionPolicy: Delete`.
    /// One for each generated Secret of the plan. Never pruned. (They are created without owner references.)
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
    pub disruption_budgets: Vec<PodDisruptionBudget>,
    /// Scaling by CPU load.
    pub autoscalers: Vec<HorizontalPodAutoscaler>,
    /// Credentials of KEDA's triggers.
    pub trigger_authentications: Vec<TriggerAuthentication>,
    /// Scaling by waiting work.
    pub scaled_objects: Vec<ScaledObject>,
}

/// What `plan` becomes.
#[must_use]
pub fn build(_plan: &Plan) -> Objects {
    Objects::default()
}
