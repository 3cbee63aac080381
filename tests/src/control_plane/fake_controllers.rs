//! Fakes of kube-controller-manager, the scheduler and kubelets, none of which run in this suite.
//!
//! [`FakeControllers`] writes the statuses that those would write, when a test calls it. It starts no pods.

mod failing;
mod garbage;
mod keda;
mod migration;
mod notifier;

use std::fmt::Debug;

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::{Deployment, StatefulSet},
        batch::v1::Job,
        core::v1::{PersistentVolumeClaim, Pod},
    },
    jiff::Timestamp,
};
use kube::{
    Resource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Namespace;

pub use notifier::Notifier;

const MANAGER: &str = "fake-controllers";

/// The fake controllers of one namespace.
pub struct FakeControllers {
    namespace: Namespace,
}

impl FakeControllers {
    /// Creates the controllers of a namespace. They write nothing yet.
    pub fn new(namespace: &Namespace) -> Self {
        Self { namespace: namespace.clone() }
    }

    /// Binds claims, completes Jobs and rolls out workloads. Returns how many objects changed.
    pub async fn complete_all(&self) -> usize {
        self.bind_claims().await
            + self.roll_out_stateful_sets().await
            + self.finish_jobs(JobEnd::Complete).await
            + self.roll_out_deployments().await
    }

    /// Binds claims to volumes of the requested size.
    pub async fn bind_claims(&self) -> usize {
        let mut changed = 0;
        for claim in self.namespace.all::<PersistentVolumeClaim>().await {
            let spec = claim.spec.as_ref().expect("a claim has a spec");
            let requested = spec.resources.as_ref().and_then(|resources| resources.requests.clone());
            let status = json!({"phase": "Bound", "capacity": requested, "accessModes": spec.access_modes});
            let live = claim.status.as_ref();
            let is_bound = live.is_some_and(|live| live.phase.as_deref() == Some("Bound") && live.capacity == requested);
            changed += self.set(&claim, is_bound, status).await;
        }
        changed
    }

    /// Reports all pods of all `StatefulSet`s as updated and ready.
    pub async fn roll_out_stateful_sets(&self) -> usize {
        let mut changed = 0;
        for set in self.namespace.all::<StatefulSet>().await {
            let replicas = set.spec.replicas.unwrap_or(1);
            let revision = format!("{}-{}", set.name_any(), set.metadata.generation.unwrap_or_default());
            let status = json!({
                "observedGeneration": set.metadata.generation, "replicas": replicas, "readyReplicas": replicas,
                "currentReplicas": replicas, "updatedReplicas": replicas, "availableReplicas": replicas,
                "currentRevision": revision, "updateRevision": revision,
            });
            let is_current = set.status.as_ref().is_some_and(|live| {
                live.observed_generation == set.metadata.generation && live.ready_replicas.unwrap_or_default() == replicas
            });
            changed += self.set(&set, is_current, status).await;
        }
        changed
    }

    /// Reports all pods of all Deployments as updated and available.
    pub async fn roll_out_deployments(&self) -> usize {
        self.roll_out_deployments_at(Timestamp::now()).await
    }

    /// Deployments have all the pods of their newest revision, available, since this time.
    pub async fn roll_out_deployments_at(&self, time: Timestamp) -> usize {
        let mut progressing = condition("Progressing", "True", "NewReplicaSetAvailable");
        progressing["lastUpdateTime"] = json!(time.round(k8s_openapi::jiff::Unit::Second).expect("seconds"));
        let mut changed = 0;
        for deployment in self.namespace.all::<Deployment>().await {
            let replicas = deployment.spec.replicas.unwrap_or(1);
            let is_current = deployment.status.as_ref().is_some_and(|live| {
                live.observed_generation == deployment.metadata.generation && live.available_replicas.unwrap_or_default() == replicas
            });
            let status = json!({
                "observedGeneration": deployment.metadata.generation, "replicas": replicas, "updatedReplicas": replicas,
                "readyReplicas": replicas, "availableReplicas": replicas, "unavailableReplicas": null,
                "conditions": [
                    condition("Available", "True", "MinimumReplicasAvailable"),
                    progressing,
                ],
            });
            changed += self.set(&deployment, is_current, status).await;
        }
        changed
    }

    /// Sets the replicas of a Deployment as an autoscaler does.
    pub async fn scale(&self, deployment: &str, replicas: i32) {
        let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
        let scale = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        self.namespace.api::<Deployment>().patch_scale(deployment, &params, &scale).await.expect("a Deployment can be scaled");
    }

    /// Reports all pods of a Deployment as unavailable.
    pub async fn mark_pods_unavailable(&self, deployment: &str) {
        let live = self.namespace.api::<Deployment>().get(deployment).await.expect("the Deployment exists");
        let status = json!({
            "observedGeneration": live.metadata.generation, "replicas": live.spec.replicas,
            "readyReplicas": null, "availableReplicas": null, "unavailableReplicas": 1,
            "conditions": [condition("Available", "False", "MinimumReplicasUnavailable")],
        });
        self.set(&live, false, status).await;
    }

    /// Reports the pod of a `StatefulSet` as not ready.
    pub async fn mark_pod_not_ready(&self, stateful_set: &str) {
        let live = self.namespace.api::<StatefulSet>().get(stateful_set).await.expect("the StatefulSet exists");
        let status =
            json!({"observedGeneration": live.metadata.generation, "replicas": 1, "readyReplicas": null, "availableReplicas": null});
        self.set(&live, false, status).await;
    }

    /// Reports a `StatefulSet` as having no pod.
    pub async fn mark_pod_missing(&self, stateful_set: &str) {
        let live = self.namespace.api::<StatefulSet>().get(stateful_set).await.expect("the StatefulSet exists");
        let status = json!({
            "observedGeneration": live.metadata.generation, "replicas": 0, "readyReplicas": null, "availableReplicas": 0,
            "currentReplicas": 0, "updatedReplicas": 0,
        });
        self.set(&live, false, status).await;
    }

    /// Deletes all pods.
    pub async fn delete_pods(&self) {
        let params = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        for pod in self.namespace.all::<Pod>().await {
            self.namespace.api::<Pod>().delete(&pod.name_any(), &params).await.expect("a pod can be deleted");
        }
    }

    /// Finishes all unfinished Jobs with this result.
    pub async fn finish_jobs(&self, end: JobEnd) -> usize {
        let mut changed = 0;
        for job in self.namespace.all::<Job>().await {
            let now = Timestamp::now().round(k8s_openapi::jiff::Unit::Second).expect("seconds");
            let conditions = |names: [&str; 2], reason: &str| {
                names.map(|name| json!({"type": name, "status": "True", "reason": reason, "lastProbeTime": now, "lastTransitionTime": now}))
            };
            let status = match end {
                JobEnd::Complete => json!({
                    "startTime": now, "completionTime": now, "succeeded": 1,
                    "conditions": conditions(["SuccessCriteriaMet", "Complete"], "CompletionsReached"),
                }),
                JobEnd::Failed => json!({
                    "startTime": now, "failed": 1,
                    "conditions": conditions(["FailureTarget", "Failed"], "BackoffLimitExceeded"),
                }),
            };
            let live = job.status.as_ref().and_then(|status| status.conditions.as_ref());
            let has_ended = live.is_some_and(|conditions| conditions.iter().any(|one| matches!(one.type_.as_str(), "Complete" | "Failed")));
            changed += self.set(&job, has_ended, status).await;
        }
        changed
    }

    async fn set<K>(&self, object: &K, is_current: bool, status: Value) -> usize
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        if is_current {
            return 0;
        }
        let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
        let patched = self.namespace.api::<K>().patch_status(&object.name_any(), &params, &Patch::Merge(json!({"status": status}))).await;
        match patched {
            Ok(_) => 1,
            // It was deleted in the meantime.
            Err(kube::Error::Api(error)) if error.code == 404 => 1,
            Err(error) => panic!("the status of {} {} cannot be set: {error}", K::kind(&()), object.name_any()),
        }
    }
}

/// How a Job ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobEnd {
    /// With success.
    Complete,
    /// With failure, after all retries.
    Failed,
}

fn condition(name: &str, status: &str, reason: &str) -> Value {
    json!({
        "type": name, "status": status, "reason": reason, "message": "reported by a fake controller",
        "lastUpdateTime": null, "lastTransitionTime": null,
    })
}
