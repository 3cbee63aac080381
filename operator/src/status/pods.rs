//! What keeps a pod from running, in the words of the kubelet and the scheduler.

use std::fmt;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;

/// Something that people have to mend: a pod that cannot start by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ailment {
    /// The part that the pod belongs to, such as `api`.
    pub component: String,
    /// The pod.
    pub pod: String,
    /// Such as `ImagePullBackOff`.
    pub reason: String,
    /// What is known of it.
    pub message: String,
}

impl fmt::Display for Ailment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pod {}: {}", self.pod, self.message)
    }
}

/// The first thing that is wrong with these pods, if anything is.
#[must_use]
pub fn ailment(pods: &[Pod]) -> Option<Ailment> {
    let mut sick: Vec<_> = pods.iter().filter_map(of).collect();
    // Always the same one first, or the status would change with the order of a list.
    sick.sort_by(|a, b| (&a.component, &a.reason, &a.pod).cmp(&(&b.component, &b.reason, &b.pod)));
    sick.into_iter().next()
}

fn of(pod: &Pod) -> Option<Ailment> {
    let status = pod.status.as_ref()?;
    let all = [&status.init_container_statuses, &status.container_statuses];
    let waiting = all.into_iter().flatten().flatten().find_map(waiting);
    let unschedulable =
        status.conditions.iter().flatten().find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    let (reason, message) = waiting.or_else(|| {
        let condition = unschedulable?;
        Some(("Unschedulable".to_owned(), condition.message.clone().unwrap_or_else(|| "no node takes it".into())))
    })?;
    let component = pod.labels().get("app.kubernetes.io/component").cloned().unwrap_or_default();
    Some(Ailment { component, pod: pod.name_any(), reason, message })
}

/// Why a container waits, if waiting alone won't help.
fn waiting(container: &ContainerStatus) -> Option<(String, String)> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.clone().filter(|reason| !matches!(reason.as_str(), "ContainerCreating" | "PodInitializing"))?;
    let said = waiting.message.clone().unwrap_or_else(|| reason.clone());
    let last = container.last_state.as_ref().and_then(|last| last.terminated.as_ref());
    let message = match last {
        Some(last) => format!("{}: {said} (its last exit code was {})", container.name, last.exit_code),
        None => format!("{} ({}): {said}", container.name, container.image),
    };
    Some((reason, message))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, status: &Value) -> Pod {
        let labels = json!({"app.kubernetes.io/component": "api"});
        serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}, "status": status})).unwrap()
    }

    fn waits(reason: &str) -> Value {
        json!({"containerStatuses": [{
            "name": "catalog", "image": "catalog:nope", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": reason, "message": "not found"}},
        }]})
    }

    #[test]
    fn an_image_that_cannot_be_had_is_named() {
        let ailment = ailment(&[pod("shop-api-1", &waits("ImagePullBackOff"))]).unwrap();
        assert_eq!((ailment.component.as_str(), ailment.reason.as_str()), ("api", "ImagePullBackOff"));
        assert_eq!(ailment.to_string(), "pod shop-api-1: catalog (catalog:nope): not found");
    }

    #[test]
    fn a_pod_that_is_just_starting_is_well() {
        assert_eq!(ailment(&[pod("shop-api-1", &waits("ContainerCreating"))]), None);
    }

    #[test]
    fn a_pod_that_no_node_takes_is_named() {
        let status =
            json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}]});
        assert_eq!(ailment(&[pod("shop-api-1", &status)]).unwrap().reason, "Unschedulable");
    }
}
