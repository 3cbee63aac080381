//! The API and the workers, and the numbers of their pods.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Pod;

/// The public API: `replicas` or `autoscaling`, not both.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "!has(self.replicas) || !has(self.autoscaling)",
        "message": "set either replicas, for a fixed number of pods, or autoscaling, but not both"
    },
    {
        "rule": "!has(self.autoscaling) || !has(self.resources) || (has(self.resources.requests) && 'cpu' in self.resources.requests) || (has(self.resources.limits) && 'cpu' in self.resources.limits)",
        "message": "autoscaling compares CPU use with the request: set resources.requests.cpu"
    }
]))]
pub struct Api {
    /// Number of pods. Defaults to 2 without `autoscaling`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: Option<i32>,
    /// Scale by CPU use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<ApiAutoscaling>,
    /// Settings of the pods.
    #[serde(flatten)]
    pub pod: Pod,
}

/// Scale by CPU use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "self.minReplicas <= self.maxReplicas",
    "message": "minReplicas must not exceed maxReplicas: lower minReplicas or raise maxReplicas"
}]))]
pub struct ApiAutoscaling {
    /// Minimum number of pods.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_replicas: i32,
    /// Maximum number of pods.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,
    /// Target average CPU use, in percent of the request.
    #[serde(rename = "targetCPUUtilizationPercentage", default = "seventy")]
    #[schemars(range(min = 1, max = 1000))]
    pub target_cpu_utilization_percentage: i32,
}

fn two() -> i32 {
    2
}

fn seventy() -> i32 {
    70
}

/// A worker: `replicas` or `autoscaling`, not both.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.replicas) || !has(self.autoscaling)",
    "message": "set either replicas, for a fixed number of pods, or autoscaling, but not both"
}]))]
pub struct Worker {
    /// Number of pods. Defaults to 1 without `autoscaling`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: Option<i32>,
    /// Scale by pending work, with KEDA. If KEDA is not installed, the number of pods is `minReplicas`, but at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<WorkerAutoscaling>,
    /// Settings of the pods.
    #[serde(flatten)]
    pub pod: Pod,
}

/// Scale by pending work, with KEDA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "self.minReplicas <= self.maxReplicas",
    "message": "minReplicas must not exceed maxReplicas: lower minReplicas or raise maxReplicas"
}]))]
pub struct WorkerAutoscaling {
    /// Minimum number of pods. With 0, the worker has no pods while there is no work.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1000))]
    pub min_replicas: i32,
    /// Maximum number of pods.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,
    /// Target number per pod of unacknowledged messages, of pending deliveries (notifier), and of due orders (fulfiller). Defaults to 50
    /// for notifier and fulfiller and to 1000 for the tracker.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub lag_threshold: Option<i32>,
}

fn one() -> i32 {
    1
}
