//! Issues of pods, with the texts of the kubelet and the scheduler.

use jiff::Timestamp;
use k8s_openapi::api::{
    core::v1::{Pod, PodCondition, PodStatus},
    events::v1::Event,
};
use kube::ResourceExt;

use super::{
    containers::{self, Finding, HEALTHY_AFTER},
    events::last_warning,
    issue::{Issue, MIGRATION_FAILING, SLOW_AFTER, Source},
};
use crate::{
    kinds::Kind,
    live::{COMPONENT, Live, conditions::has_condition},
};

/// Label with the name of the Job that created a pod.
const JOB: &str = "batch.kubernetes.io/job-name";

/// The component that a pod belongs to, such as `api`.
pub fn component(pod: &Pod) -> &str {
    pod.labels().get(COMPONENT).map_or("", String::as_str)
}

/// Finds the issue of a pod, if it has one.
pub fn issue(pod: &Pod, live: &Live, events: &[Event], now: Timestamp) -> Option<Issue> {
    let issue = |finding: Finding, is_failure| {
        // For a migration one reason covers all failures: the Job retries it, so restarts don't matter.
        let reason = if finding.has_ended && is_migration(pod) { MIGRATION_FAILING.to_owned() } else { finding.reason };
        Issue {
            component: component(pod).into(),
            source: Source::Pod,
            reason,
            object: format!("Pod {}", pod.name_any()),
            message: finding.message,
            is_failure,
            until: finding.until,
        }
    };
    if let Some(ends_at) = grace_period_end(pod) {
        return (ends_at + SLOW_AFTER <= now).then(|| issue(stuck_terminating(ends_at), true));
    }
    let status = pod.status.as_ref().filter(|_| is_relevant(pod, live))?;
    if let Some(finding) = failure(pod, status, now) {
        return Some(issue(finding, true));
    }
    slow_at(pod, live).filter(|at| *at <= now)?;
    let (finding, is_failure) = explain_delay(pod, status, events, now);
    Some(issue(finding, is_failure))
}

/// When a pod that is pending, not ready or terminating becomes slow.
pub fn slow_at(pod: &Pod, live: &Live) -> Option<Timestamp> {
    if let Some(ends_at) = grace_period_end(pod) {
        return Some(ends_at + SLOW_AFTER);
    }
    let status = pod.status.as_ref().filter(|_| is_relevant(pod, live))?;
    let since = match status.phase.as_deref() {
        None | Some("Pending") => status.start_time.as_ref().or(pod.metadata.creation_timestamp.as_ref())?.0,
        // Readiness doesn't matter for the pod of a migration.
        Some("Running") if !is_migration(pod) => transition_time(containers_not_ready(status)?)?,
        Some(_) => return None,
    };
    Some(since + SLOW_AFTER)
}

fn containers_not_ready(status: &PodStatus) -> Option<&PodCondition> {
    condition(status, "ContainersReady").filter(|ready| ready.status == "False")
}

/// The end of the grace period of a deleted pod whose `StatefulSet` cannot replace it before it has ended.
fn grace_period_end(pod: &Pod) -> Option<Timestamp> {
    let blocks_replacement = pod.owner_references().iter().any(|owner| owner.kind == "StatefulSet" && owner.controller == Some(true));
    pod.metadata.deletion_timestamp.as_ref().filter(|_| blocks_replacement).map(|time| time.0)
}

fn stuck_terminating(ends_at: Timestamp) -> Finding {
    let message = format!(
        "is still terminating after its grace period, which ended at {ends_at}, and blocks its StatefulSet: its node may be \
         unavailable; after you have made sure that the node is shut down, run kubectl delete pod --force"
    );
    Finding { reason: "Terminating".into(), message, has_ended: false, until: None }
}

/// Whether a pod can have an issue: not if it is terminating, or its migration has succeeded or was replaced.
fn is_relevant(pod: &Pod, live: &Live) -> bool {
    let is_finished = || {
        let job = pod.labels().get(JOB).and_then(|job| live.get(Kind::Job, job));
        job.is_none_or(|job| has_condition(job, "Complete"))
    };
    pod.metadata.deletion_timestamp.is_none() && !(is_migration(pod) && is_finished())
}

fn is_migration(pod: &Pod) -> bool {
    component(pod) == "migrate"
}

fn failure(pod: &Pod, status: &PodStatus, now: Timestamp) -> Option<Finding> {
    match status.phase.as_deref() {
        Some("Succeeded") => return None,
        Some("Failed") => return failed(pod, status, now),
        _ => {}
    }
    let ready_since = condition(status, "ContainersReady").filter(|ready| ready.status == "True").and_then(transition_time);
    let is_restarted = !is_migration(pod);
    let init = status.init_container_statuses.iter().flatten().map(|container| (container, false));
    let mut all = init.chain(status.container_statuses.iter().flatten().map(|container| (container, is_restarted)));
    all.find_map(|(container, is_restarted)| containers::find_issue(container, is_restarted, ready_since, now)).or_else(|| {
        let unscheduled = condition(status, "PodScheduled").filter(|scheduled| scheduled.status == "False")?;
        let reason = unscheduled.reason.clone().unwrap_or_else(|| "Unschedulable".into());
        let message = unscheduled.message.clone().unwrap_or_else(|| "not scheduled".into());
        Some(Finding { reason, message, has_ended: false, until: None })
    })
}

/// The issue of a pod in phase `Failed`, such as an evicted one. Its controller replaces it, and the pod remains for its log.
fn failed(pod: &Pod, status: &PodStatus, now: Timestamp) -> Option<Finding> {
    let containers = status.container_statuses.iter().flatten();
    let ended = containers.clone().filter_map(|container| container.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref());
    let at = ended.map(|time| time.0).chain(status.conditions.iter().flatten().filter_map(transition_time)).max();
    // A failed migration is an issue until it succeeds.
    let until = if is_migration(pod) { None } else { Some(at? + HEALTHY_AFTER) };
    if until.is_some_and(|until| until <= now) {
        return None;
    }
    let reason = status.reason.clone().unwrap_or_else(|| "PodFailed".into());
    let from_container =
        containers.filter_map(|container| containers::find_issue(container, false, None, now)).map(|found| found.message).next();
    let message = status.message.clone().or(from_container).unwrap_or_else(|| "the pod has failed".into());
    Some(Finding { reason, message, has_ended: true, until })
}

/// Why a pod is slow, and whether that is a failure: its last warning or, without one, its state, which is not a failure.
fn explain_delay(pod: &Pod, status: &PodStatus, events: &[Event], now: Timestamp) -> (Finding, bool) {
    let finding = |reason: String, message: String| Finding { reason, message, has_ended: false, until: None };
    if let Some(unready) = containers_not_ready(status).filter(|_| status.phase.as_deref() == Some("Running")) {
        let unready_containers = unready.message.as_deref().unwrap_or("containers are not ready");
        let message = match last_warning(events, pod.metadata.uid.as_deref(), Some("Unhealthy"), now) {
            Some((_, probe)) => format!("{unready_containers}: {probe}"),
            None => unready_containers.to_owned(),
        };
        return (finding(unready.reason.clone().unwrap_or_else(|| "ContainersNotReady".into()), message), true);
    }
    if let Some((reason, note)) = last_warning(events, pod.metadata.uid.as_deref(), None, now) {
        return (finding(reason, note), true);
    }
    let waiting = status.container_statuses.iter().flatten().find_map(|container| {
        let reason = container.state.as_ref()?.waiting.as_ref()?.reason.clone()?;
        let message = format!("{} ({}) has been waiting for more than a minute: {reason}", container.name, container.image);
        Some(finding(reason, message))
    });
    let pending = || finding("Pending".into(), "pending for more than a minute, without a warning Event".into());
    (waiting.unwrap_or_else(pending), false)
}

fn condition<'a>(status: &'a PodStatus, kind: &str) -> Option<&'a PodCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

fn transition_time(condition: &PodCondition) -> Option<Timestamp> {
    condition.last_transition_time.as_ref().map(|time| time.0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const CREATED: &str = "2026-11-30T10:00:00Z";

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    fn pod(component: &str, status: &Value) -> Pod {
        let labels = json!({COMPONENT: component, JOB: "shop-migrate-1"});
        let metadata = json!({"name": format!("shop-{component}-1"), "uid": "a", "labels": labels, "creationTimestamp": CREATED});
        serde_json::from_value(json!({"metadata": metadata, "status": status})).unwrap()
    }

    fn job(end: Option<&str>) -> Live {
        let conditions: Vec<_> = end.into_iter().map(|end| json!({"type": end, "status": "True"})).collect();
        let job =
            json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "shop-migrate-1"}, "status": {"conditions": conditions}});
        Live::of([(Kind::Job, serde_json::from_value(job).unwrap())])
    }

    fn found(pod: &Pod, live: &Live, now: &str) -> Option<(String, String, bool)> {
        issue(pod, live, &[], at(now)).map(|issue| (issue.reason.clone(), issue.to_string(), issue.is_failure))
    }

    fn ended(code: i32) -> Value {
        json!({"containerStatuses": [{
            "name": "migrate", "image": "catalog:1", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": code, "reason": "Error", "finishedAt": CREATED}},
        }]})
    }

    #[test]
    fn an_image_that_cannot_be_pulled_is_reported() {
        let status = json!({"phase": "Pending", "containerStatuses": [{
            "name": "api", "image": "catalog:nope", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}},
        }]});
        let (reason, text, is_failure) = found(&pod("api", &status), &Live::default(), CREATED).unwrap();
        assert_eq!((reason.as_str(), text.as_str()), ("ImagePullBackOff", "Pod shop-api-1: api (catalog:nope): not found"));
        assert!(is_failure);
    }

    #[test]
    fn a_pod_that_cannot_be_scheduled_is_reported() {
        let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available"});
        let (reason, text, _) =
            found(&pod("api", &json!({"phase": "Pending", "conditions": [condition]})), &Live::default(), CREATED).unwrap();
        assert_eq!((reason.as_str(), text.as_str()), ("Unschedulable", "Pod shop-api-1: 0/1 nodes are available"));
    }

    #[test]
    fn a_failing_migration_is_reported_from_its_first_failure_until_its_job_completes() {
        let first = pod("migrate", &ended(1));
        assert_eq!(found(&first, &job(None), CREATED).unwrap().0, "MigrationFailing");
        assert_eq!(found(&first, &job(Some("Complete")), CREATED), None);
        assert_eq!(found(&first, &Live::default(), CREATED), None, "its Job was replaced");
        assert_eq!(found(&pod("migrate", &ended(0)), &job(None), CREATED), None, "it has succeeded");
        // The Job has replaced the evicted pod.
        let evicted = json!({"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."});
        let (reason, text, _) = found(&pod("migrate", &evicted), &job(None), "2026-11-30T11:00:00Z").unwrap();
        assert_eq!(reason, "MigrationFailing");
        assert!(text.contains("low on resource"), "{text}");
    }

    #[test]
    fn an_evicted_pod_of_a_deployment_is_reported_for_two_minutes() {
        let condition = json!({"type": "DisruptionTarget", "status": "True", "lastTransitionTime": CREATED});
        let evicted =
            json!({"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory.", "conditions": [condition]});
        let evicted = pod("api", &evicted);
        assert_eq!(found(&evicted, &Live::default(), "2026-11-30T10:01:59Z").unwrap().0, "Evicted");
        assert_eq!(found(&evicted, &Live::default(), "2026-11-30T10:02:00Z"), None);
    }

    #[test]
    fn the_cause_of_a_pending_pod_is_reported_after_a_minute() {
        let status = json!({"phase": "Pending", "containerStatuses": [{
            "name": "migrate", "image": "catalog:1", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "ContainerCreating"}},
        }]});
        let waiting = pod("migrate", &status);
        assert_eq!(found(&waiting, &job(None), "2026-11-30T10:00:59Z"), None);
        let (reason, _, is_failure) = found(&waiting, &job(None), "2026-11-30T10:01:00Z").unwrap();
        assert!(reason == "ContainerCreating" && !is_failure, "an image may be large");
        let event = json!({"metadata": {}, "eventTime": "2026-11-30T10:00:40.000000Z", "type": "Warning", "reason": "FailedMount",
            "note": "secret \"database\" not found", "regarding": {"uid": "a"}});
        let found = issue(&waiting, &job(None), &[serde_json::from_value(event).unwrap()], at("2026-11-30T10:01:00Z")).unwrap();
        assert!(found.reason == "FailedMount" && found.is_failure && found.message.contains("database"), "{found:?}");
    }

    #[test]
    fn the_cause_of_an_unready_pod_is_reported_after_a_minute() {
        let unready = json!({"type": "ContainersReady", "status": "False", "reason": "ContainersNotReady",
            "message": "containers with unready status: [api]", "lastTransitionTime": CREATED});
        let running = json!([{"name": "api", "image": "catalog:1", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"running": {"startedAt": CREATED}}}]);
        let unready = pod("api", &json!({"phase": "Running", "conditions": [unready], "containerStatuses": running}));
        let event = json!({"metadata": {}, "eventTime": null, "deprecatedLastTimestamp": CREATED, "type": "Warning", "reason": "Unhealthy",
            "note": "Readiness probe failed: HTTP probe failed with statuscode: 503", "regarding": {"uid": "a"}});
        let event = serde_json::from_value(event).unwrap();
        let found = |now: &str| issue(&unready, &Live::default(), std::slice::from_ref(&event), at(now));
        assert_eq!(found("2026-11-30T10:00:59Z"), None);
        let found = found("2026-11-30T10:01:00Z").unwrap();
        assert!(found.reason == "ContainersNotReady" && found.is_failure, "{found:?}");
        assert_eq!(found.message, "containers with unready status: [api]: Readiness probe failed: HTTP probe failed with statuscode: 503");
    }

    #[test]
    fn a_terminating_pod_that_blocks_its_stateful_set_is_reported() {
        let mut deleted = pod("postgres", &json!({"phase": "Running"}));
        deleted.metadata.deletion_timestamp = deleted.metadata.creation_timestamp.clone();
        let owner = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "shop-postgres", "uid": "a", "controller": true});
        deleted.metadata.owner_references = Some(vec![serde_json::from_value(owner).unwrap()]);
        assert_eq!(found(&deleted, &Live::default(), "2026-11-30T10:00:59Z"), None);
        assert_eq!(slow_at(&deleted, &Live::default()), Some(at("2026-11-30T10:01:00Z")));
        let (reason, text, is_failure) = found(&deleted, &Live::default(), "2026-11-30T10:01:00Z").unwrap();
        assert!(reason == "Terminating" && is_failure && text.contains("kubectl delete pod --force"), "{text}");
    }

    #[test]
    fn other_terminating_pods_are_not_reported() {
        let mut deleted = pod("api", &ended(137));
        assert!(found(&deleted, &Live::default(), CREATED).is_some());
        deleted.metadata.deletion_timestamp = deleted.metadata.creation_timestamp.clone();
        assert_eq!(found(&deleted, &Live::default(), CREATED), None);
    }
}
