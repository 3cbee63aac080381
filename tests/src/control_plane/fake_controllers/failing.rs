//! Failures as kubelets, the scheduler and controllers report them.

use std::fmt::Debug;

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::Deployment,
        core::v1::{Event, Pod},
    },
    jiff::Timestamp,
};
use kube::{Resource, ResourceExt, api::PostParams};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::FakeControllers;

impl FakeControllers {
    /// Creates a pending pod from the template of an object, and returns its name.
    ///
    /// # Panics
    /// If the object doesn't exist, or its template is invalid.
    pub async fn create_pod<K>(&self, owner: &str) -> String
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Serialize + Debug,
    {
        self.create_pod_with::<K>(owner, |_| {}).await
    }

    pub(super) async fn create_pod_with<K>(&self, owner: &str, edit: impl FnOnce(&mut Value)) -> String
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Serialize + Debug,
    {
        let live = self.namespace.api::<K>().get(owner).await.expect("the object exists");
        let mut template = serde_json::to_value(&live).expect("an object is JSON")["spec"]["template"].take();
        edit(&mut template["spec"]);
        let name = format!("{owner}-x2x2x");
        let metadata = json!({"name": name, "labels": template["metadata"]["labels"], "annotations": template["metadata"]["annotations"]});
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]});
        self.namespace.apply(&pod).await.expect("the template is valid");
        name
    }

    /// Sets the status of a pod, and fills in the names and images of its containers.
    ///
    /// # Panics
    /// If the pod doesn't exist, or the status is invalid.
    pub async fn set_pod_status(&self, name: &str, mut status: Value) {
        let pod = self.namespace.api::<Pod>().get(name).await.expect("the pod exists");
        let containers = pod.spec.as_ref().expect("a pod has a spec").containers.iter();
        for (container, status) in containers.zip(status["containerStatuses"].as_array_mut().into_iter().flatten()) {
            status["name"] = json!(container.name);
            status["image"] = json!(container.image);
            status["imageID"] = json!("");
        }
        self.set(&pod, false, status).await;
    }

    /// Creates a pod of the Deployment whose container waits with this reason.
    pub async fn create_waiting_pod(&self, deployment: &str, reason: &str, message: &str) {
        let pod = self.create_pod::<Deployment>(deployment).await;
        let waiting = json!({"waiting": {"reason": reason, "message": message}});
        let container = json!({"ready": false, "restartCount": 0, "state": waiting});
        self.set_pod_status(&pod, json!({"phase": "Pending", "containerStatuses": [container]})).await;
    }

    /// Sets a condition of a Deployment.
    ///
    /// # Panics
    /// If the Deployment doesn't exist.
    pub async fn set_deployment_condition(&self, name: &str, kind: &str, status: &str, reason: &str, message: &str) {
        let live = self.namespace.api::<Deployment>().get(name).await.expect("the Deployment exists");
        let condition = json!({
            "type": kind, "status": status, "reason": reason, "message": message, "lastUpdateTime": null, "lastTransitionTime": null,
        });
        self.set(&live, false, json!({"conditions": [condition]})).await;
    }

    /// Publishes a core/v1 Event of type Warning about an object, as the components of Kubernetes do.
    ///
    /// # Panics
    /// If the object doesn't exist.
    pub async fn publish_warning<K>(&self, name: &str, reason: &str, message: &str)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let live = self.namespace.api::<K>().get(name).await.expect("the object exists");
        let now = Timestamp::now().round(k8s_openapi::jiff::Unit::Second).expect("seconds");
        let event = json!({
            "metadata": {"name": format!("{name}.{}", reason.to_lowercase())}, "type": "Warning", "reason": reason, "message": message,
            "involvedObject": {
                "kind": K::kind(&()), "apiVersion": K::api_version(&()), "name": name, "namespace": live.namespace(), "uid": live.uid(),
            },
            "firstTimestamp": now, "lastTimestamp": now, "count": 1, "source": {"component": "fake-controllers"},
        });
        let event: Event = serde_json::from_value(event).expect("an Event");
        self.namespace.api::<Event>().create(&PostParams::default(), &event).await.expect("an Event can be created");
    }
}
