//! What keeps a pod from running, in the words of the kubelet and the scheduler.

use jiff::Timestamp;
use k8s_openapi::api::{
    core::v1::{Pod, PodCondition, PodStatus},
    events::v1::Event,
};
use kube::ResourceExt;

use super::{
    containers::{self, Trouble, WELL_AFTER},
    events::last_warning,
    issue::{Issue, SLOW_AFTER, Source},
    parts::{COMPONENT, has_condition},
};
use crate::{kinds::Kind, live::Live};

/// Label with the name of the Job that created a pod.
const JOB: &str = "batch.kubernetes.io/job-name";

/// The part that a pod belongs to, such as `api`.
pub fn component(pod: &Pod) -> &str {
    pod.labels().get(COMPONENT).map_or("", String::as_str)
}

/// What is wrong with a pod, if anything is.
pub fn issue(pod: &Pod, live: &Live, events: &[Event], now: Timestamp) -> Option<Issue> {
    let issue = |trouble: Trouble, is_failure| {
        // Of a migration, how often its container was started doesn't matter as much as that it has failed.
        let reason = if trouble.has_ended && is_migration(pod) { "MigrationFailing".to_owned() } else { trouble.reason };
        Issue {
            component: component(pod).into(),
            source: Source::Pod,
            reason,
            object: format!("Pod {}", pod.name_any()),
            message: trouble.message,
            is_failure,
            until: trouble.until,
        }
    };
    if let Some(ends_at) = awaited_end(pod) {
        return (ends_at + SLOW_AFTER <= now).then(|| issue(not_ended(ends_at), true));
    }
    let status = pod.status.as_ref().filter(|_| counts(pod, live))?;
    if let Some(trouble) = failure(pod, status, now) {
        return Some(issue(trouble, true));
    }
    slow_at(pod, live).filter(|at| *at <= now)?;
    let (trouble, is_failure) = slowness(pod, status, events, now);
    Some(issue(trouble, is_failure))
}

/// When a pod that waits, that runs and isn't ready, or that doesn't end, becomes slow. Its Events say why.
pub fn slow_at(pod: &Pod, live: &Live) -> Option<Timestamp> {
    if let Some(ends_at) = awaited_end(pod) {
        return Some(ends_at + SLOW_AFTER);
    }
    let status = pod.status.as_ref().filter(|_| counts(pod, live))?;
    let since = match status.phase.as_deref() {
        None | Some("Pending") => status.start_time.as_ref().or(pod.metadata.creation_timestamp.as_ref())?.0,
        // The pod of a migration has nothing to be ready for.
        Some("Running") if !is_migration(pod) => transition(unready(status)?)?,
        Some(_) => return None,
    };
    Some(since + SLOW_AFTER)
}

fn unready(status: &PodStatus) -> Option<&PodCondition> {
    condition(status, "ContainersReady").filter(|ready| ready.status == "False")
}

/// The end of the grace period of a deleted pod whose controller creates no other one before it has ended.
fn awaited_end(pod: &Pod) -> Option<Timestamp> {
    let is_awaited = pod.owner_references().iter().any(|owner| owner.kind == "StatefulSet" && owner.controller == Some(true));
    pod.metadata.deletion_timestamp.as_ref().filter(|_| is_awaited).map(|time| time.0)
}

fn not_ended(ends_at: Timestamp) -> Trouble {
    let message = format!(
        "should have ended by {ends_at}, and its StatefulSet waits for that: its node may be unavailable; once the node is \
         certainly shut down, run kubectl delete pod --force"
    );
    Trouble { reason: "Terminating".into(), message, has_ended: false, until: None }
}

/// Other deleted pods end as they should, and so do those of a migration that has succeeded or been replaced.
fn counts(pod: &Pod, live: &Live) -> bool {
    let is_over = || {
        let job = pod.labels().get(JOB).and_then(|job| live.get(Kind::Job, job));
        job.is_none_or(|job| has_condition(job, "Complete"))
    };
    pod.metadata.deletion_timestamp.is_none() && !(is_migration(pod) && is_over())
}

fn is_migration(pod: &Pod) -> bool {
    component(pod) == "migrate"
}

fn failure(pod: &Pod, status: &PodStatus, now: Timestamp) -> Option<Trouble> {
    match status.phase.as_deref() {
        Some("Succeeded") => return None,
        Some("Failed") => return failed(pod, status, now),
        _ => {}
    }
    let ready_since = condition(status, "ContainersReady").filter(|ready| ready.status == "True").and_then(transition);
    let is_restarted = !is_migration(pod);
    let init = status.init_container_statuses.iter().flatten().map(|container| (container, false));
    let mut all = init.chain(status.container_statuses.iter().flatten().map(|container| (container, is_restarted)));
    all.find_map(|(container, is_restarted)| containers::trouble(container, is_restarted, ready_since, now)).or_else(|| {
        let unscheduled = condition(status, "PodScheduled").filter(|scheduled| scheduled.status == "False")?;
        let reason = unscheduled.reason.clone().unwrap_or_else(|| "Unschedulable".into());
        let message = unscheduled.message.clone().unwrap_or_else(|| "not scheduled".into());
        Some(Trouble { reason, message, has_ended: false, until: None })
    })
}

/// A pod that has failed as a whole, such as an evicted one. A controller replaces it, and it remains for its log.
fn failed(pod: &Pod, status: &PodStatus, now: Timestamp) -> Option<Trouble> {
    let containers = status.container_statuses.iter().flatten();
    let ended = containers.clone().filter_map(|container| container.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref());
    let at = ended.map(|time| time.0).chain(status.conditions.iter().flatten().filter_map(transition)).max();
    // A migration goes on failing until it succeeds.
    let until = if is_migration(pod) { None } else { Some(at? + WELL_AFTER) };
    if until.is_some_and(|until| until <= now) {
        return None;
    }
    let reason = status.reason.clone().unwrap_or_else(|| "PodFailed".into());
    let of_container =
        containers.filter_map(|container| containers::trouble(container, false, None, now)).map(|found| found.message).next();
    let message = status.message.clone().or(of_container).unwrap_or_else(|| "the pod has failed".into());
    Some(Trouble { reason, message, has_ended: true, until })
}

/// Why a pod waits so long: its last warning, or else how far it is. One that waits without a warning hasn't failed.
fn slowness(pod: &Pod, status: &PodStatus, events: &[Event], now: Timestamp) -> (Trouble, bool) {
    let trouble = |reason: String, message: String| Trouble { reason, message, has_ended: false, until: None };
    if let Some(unready) = unready(status).filter(|_| status.phase.as_deref() == Some("Running")) {
        let unready_containers = unready.message.as_deref().unwrap_or("containers are not ready");
        let message = match last_warning(events, pod.metadata.uid.as_deref(), Some("Unhealthy"), now) {
            Some((_, probe)) => format!("{unready_containers}: {probe}"),
            None => unready_containers.to_owned(),
        };
        return (trouble(unready.reason.clone().unwrap_or_else(|| "ContainersNotReady".into()), message), true);
    }
    if let Some((reason, note)) = last_warning(events, pod.metadata.uid.as_deref(), None, now) {
        return (trouble(reason, note), true);
    }
    let waiting = status.container_statuses.iter().flatten().find_map(|container| {
        let reason = container.state.as_ref()?.waiting.as_ref()?.reason.clone()?;
        let message = format!("{} ({}) has been waiting for more than a minute: {reason}", container.name, container.image);
        Some(trouble(reason, message))
    });
    let pending = || trouble("Pending".into(), "pending for more than a minute, and no Event says why".into());
    (waiting.unwrap_or_else(pending), false)
}

fn condition<'a>(status: &'a PodStatus, kind: &str) -> Option<&'a PodCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

fn transition(condition: &PodCondition) -> Option<Timestamp> {
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
    fn a_migration_fails_from_its_first_failed_container_until_its_job_is_complete() {
        let first = pod("migrate", &ended(1));
        assert_eq!(found(&first, &job(None), CREATED).unwrap().0, "MigrationFailing");
        assert_eq!(found(&first, &job(Some("Complete")), CREATED), None);
        assert_eq!(found(&first, &Live::default(), CREATED), None, "its Job was replaced");
        assert_eq!(found(&pod("migrate", &ended(0)), &job(None), CREATED), None, "it has succeeded");
        // A pod that failed as a whole was followed by another one.
        let evicted = json!({"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."});
        let (reason, text, _) = found(&pod("migrate", &evicted), &job(None), "2026-11-30T11:00:00Z").unwrap();
        assert_eq!(reason, "MigrationFailing");
        assert!(text.contains("low on resource"), "{text}");
    }

    #[test]
    fn an_evicted_pod_of_a_deployment_counts_for_two_minutes() {
        let condition = json!({"type": "DisruptionTarget", "status": "True", "lastTransitionTime": CREATED});
        let evicted =
            json!({"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory.", "conditions": [condition]});
        let evicted = pod("api", &evicted);
        assert_eq!(found(&evicted, &Live::default(), "2026-11-30T10:01:59Z").unwrap().0, "Evicted");
        assert_eq!(found(&evicted, &Live::default(), "2026-11-30T10:02:00Z"), None);
    }

    #[test]
    fn a_pod_that_waits_for_more_than_a_minute_says_why() {
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
    fn a_pod_that_runs_without_being_ready_for_a_minute_says_why() {
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
    fn a_pod_that_a_stateful_set_waits_for_and_that_does_not_end_is_reported() {
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
    fn a_pod_that_is_deleted_is_not_reported() {
        let mut deleted = pod("api", &ended(137));
        assert!(found(&deleted, &Live::default(), CREATED).is_some());
        deleted.metadata.deletion_timestamp = deleted.metadata.creation_timestamp.clone();
        assert_eq!(found(&deleted, &Live::default(), CREATED), None);
    }
}
