//! The API and the workers, and how many pods they have.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Pod;

/// The public API: `replicas` or `autoscaling`, not both.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "!has(self.replicas) || !has(self.autoscaling)",
        "message": "give replicas for a fixed number of pods, or autoscaling, not both"
    },
    {
        "rule": "!has(self.autoscaling) || !has(self.resources) || (has(self.resources.requests) && 'cpu' in self.resources.requests) || (has(self.resources.limits) && 'cpu' in self.resources.limits)",
        "message": "autoscaling measures CPU use against the request: give resources.requests.cpu"
    }
]))]
pub struct Api {
    /// Number of pods. Absent, without `autoscaling`: 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: Option<i32>,
    /// Let CPU load decide the number of pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<ApiAutoscaling>,
    /// What its pods are like.
    #[serde(flatten)]
    pub pod: Pod,
}

/// Let CPU load decide the number of pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "self.minReplicas <= self.maxReplicas",
    "message": "minReplicas may not be more than maxReplicas: lower the one or raise the other"
}]))]
pub struct ApiAutoscaling {
    /// Fewest pods.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_replicas: i32,
    /// Most pods.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,
    /// Average CPU use to aim for, in percent of the request.
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
    "message": "give replicas for a fixed number of pods, or autoscaling, not both"
}]))]
pub struct Worker {
    /// Number of pods. Absent, without `autoscaling`: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: Option<i32>,
    /// Let waiting work decide the number of pods. Without KEDA in the cluster there are `minReplicas` pods, at least one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<WorkerAutoscaling>,
    /// What its pods are like.
    #[serde(flatten)]
    pub pod: Pod,
}

/// Let waiting work decide the number of pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "self.minReplicas <= self.maxReplicas",
    "message": "minReplicas may not be more than maxReplicas: lower the one or raise the other"
}]))]
pub struct WorkerAutoscaling {
    /// Fewest pods; with 0 the worker sleeps while nothing waits.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1000))]
    pub min_replicas: i32,
    /// Most pods.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,
    /// Waiting messages per pod, and as many waiting mails per notifier or due orders per fulfiller. Absent: 50 for notifier
    /// and fulfiller, 1000 for the tracker.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub lag_threshold: Option<i32>,
}

fn one() -> i32 {
    1
}
