//! The roles that run as Deployments, and who says how many pods they have.

use crate::crd::{Pod, Resources};

/// A role that runs as a Deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct RolePlan<Scale> {
    /// How many pods.
    pub scale: Scale,
    /// Most pods that the Catalog declares, whatever the cluster has to scale by.
    pub most: i32,
    /// CPU and memory.
    pub resources: Resources,
    /// The rest of what its pods are like.
    pub pod: Pod,
    /// Connections to the database, per pod.
    pub connections: i32,
}

/// How many pods the API has, and who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiScale {
    /// The plan.
    Fixed(i32),
    /// CPU load.
    Cpu {
        /// Fewest.
        min: i32,
        /// Most.
        max: i32,
        /// Average use to aim for, in percent of the request.
        target: i32,
    },
}

/// How many pods a worker has, and who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerScale {
    /// The plan.
    Fixed(i32),
    /// Waiting work.
    Lag {
        /// Fewest.
        min: i32,
        /// Most.
        max: i32,
        /// Waiting messages per pod.
        threshold: i32,
    },
}
