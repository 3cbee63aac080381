//! The roles that run as Deployments, and how their numbers of pods are determined.

use crate::crd::{Pod, Resources};

/// A role that runs as a Deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct RolePlan<Scale> {
    /// How the number of pods is determined.
    pub scale: Scale,
    /// Maximum number of pods that the spec declares, whether KEDA is installed or not.
    pub max_replicas: i32,
    /// CPU and memory.
    pub resources: Resources,
    /// Other settings of the pods.
    pub pod: Pod,
    /// Maximum number of connections to the database, per pod.
    pub connections: i32,
}

/// How the number of pods of the API is determined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiScale {
    /// Fixed by the spec.
    Fixed(i32),
    /// Scaled by CPU use.
    Cpu {
        /// Minimum number of pods.
        min: i32,
        /// Maximum number of pods.
        max: i32,
        /// Target average CPU use, in percent of the request.
        target: i32,
    },
}

/// How the number of pods of a worker is determined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerScale {
    /// Fixed by the spec.
    Fixed(i32),
    /// Scaled by KEDA by pending work.
    Lag {
        /// Minimum number of pods.
        min: i32,
        /// Maximum number of pods.
        max: i32,
        /// Target number of messages or rows per pod.
        threshold: i32,
    },
}
