//! The pod of a migration Job.

use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::ResourceExt;
use serde_json::json;

use super::FakeControllers;

impl FakeControllers {
    /// Creates the pod of a migration Job, with a container that ended with this exit code and termination message.
    ///
    /// # Panics
    /// If the Job doesn't exist, or its template is invalid.
    pub async fn end_migration_container(&self, job: &Job, exit_code: i32, message: &str) {
        let template = serde_json::to_value(&job.spec.as_ref().expect("a Job has a spec").template).expect("a template is JSON");
        let name = format!("{}-x2x2x", job.name_any());
        let mut labels = template["metadata"]["labels"].clone();
        labels["batch.kubernetes.io/job-name"] = json!(job.name_any());
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "spec": template["spec"], "metadata": {"name": name, "labels": labels},
        });
        self.namespace.apply(&pod).await.expect("the template is valid");
        let pod = self.namespace.api::<Pod>().get(&name).await.expect("the pod was created");
        let phase = if exit_code == 0 { "Succeeded" } else { "Running" };
        let status = json!({"phase": phase, "containerStatuses": [{
            "name": "migrate", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": exit_code, "message": message}},
        }]});
        self.set(&pod, false, status).await;
    }
}
