//! Issues that controllers report of pods that they cannot create or that don't become available.

use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use kube::{ResourceExt, api::DynamicObject};
use serde_json::Value;

use super::{
    containers::HEALTHY_AFTER,
    events::last_warning,
    issue::{Issue, SLOW_AFTER, Source},
};
use crate::{
    kinds::Kind,
    live::{
        COMPONENT, Live,
        conditions::{conditions, has_condition},
        scaling::{last_raise, replicas},
    },
};

/// Finds issues of Deployments, `StatefulSets` and Jobs.
pub fn issues(live: &Live, events: &[Event], now: Timestamp) -> Vec<Issue> {
    let deployments = live.of_kind(Kind::Deployment).flat_map(of_deployment);
    let scaled = live.of_kind(Kind::Deployment).filter_map(|deployment| scaled_below_minimum(deployment, now));
    let jobs = live.of_kind(Kind::Job).filter_map(failed_job);
    let missing = without_pods(live).filter_map(|(kind, object)| missing_pods(kind, object, events, now));
    deployments.chain(scaled).chain(jobs).chain(missing).collect()
}

/// Objects that should have pods and have none. Only their Events have the cause.
pub fn without_pods(live: &Live) -> impl Iterator<Item = (Kind, &DynamicObject)> {
    let sets = live
        .of_kind(Kind::StatefulSet)
        .filter(|set| set.data["spec"]["replicas"].as_i64() != Some(0) && set.data["status"]["replicas"].as_i64().unwrap_or(0) == 0);
    let jobs = live.of_kind(Kind::Job).filter(|job| {
        let status = &job.data["status"];
        let has_ended = has_condition(job, "Complete") || has_condition(job, "Failed");
        !has_ended && ["active", "succeeded"].iter().all(|pods| status[*pods].as_i64().unwrap_or(0) == 0)
    });
    sets.map(|set| (Kind::StatefulSet, set)).chain(jobs.map(|job| (Kind::Job, job)))
}

/// When objects without pods become an issue.
pub fn slow_at(live: &Live) -> impl Iterator<Item = Timestamp> {
    without_pods(live).filter_map(|(_, object)| Some(object.creation_timestamp()?.0 + SLOW_AFTER))
}

fn of_deployment(deployment: &DynamicObject) -> Vec<Issue> {
    let found = conditions(deployment).filter_map(|condition| {
        let source = match (condition["type"].as_str()?, condition["status"].as_str()?) {
            ("ReplicaFailure", "True") => Source::Creation,
            ("Progressing", "False") => Source::Deadline,
            _ => return None,
        };
        Some(failure(Kind::Deployment, deployment, source, text(&condition["reason"]), text(&condition["message"])))
    });
    found.collect()
}

/// The issue of a Deployment without available pods that another client has recently scaled below its minimum.
fn scaled_below_minimum(deployment: &DynamicObject, now: Timestamp) -> Option<Issue> {
    let (managers, raised_at) = last_raise(deployment)?;
    let available = deployment.data["status"]["availableReplicas"].as_i64().unwrap_or(0);
    let until = raised_at + HEALTHY_AFTER;
    let replicas = replicas(deployment);
    let message = format!("{managers} had scaled it below the minimum of its autoscaler; the operator scaled it back to {replicas}");
    let issue = failure(Kind::Deployment, deployment, Source::Creation, "ScaledBelowMinimum".into(), message);
    (available == 0 && now < until).then_some(Issue { until: Some(until), ..issue })
}

fn failed_job(job: &DynamicObject) -> Option<Issue> {
    let failed = conditions(job).find(|condition| condition["type"] == "Failed" && condition["status"] == "True")?;
    let message = format!("{}: {}", text(&failed["reason"]), text(&failed["message"]));
    Some(failure(Kind::Job, job, Source::Deadline, "MigrationFailed".into(), message))
}

fn missing_pods(kind: Kind, object: &DynamicObject, events: &[Event], now: Timestamp) -> Option<Issue> {
    if let Some((reason, note)) = last_warning(events, object.metadata.uid.as_deref(), Some("FailedCreate"), now) {
        return Some(failure(kind, object, Source::Creation, reason, note));
    }
    let created = object.creation_timestamp()?.0;
    let slow = || Issue {
        is_failure: false,
        ..failure(kind, object, Source::Deadline, "NoPods".into(), "has had no pods for more than a minute, without a warning Event".into())
    };
    (now.duration_since(created) >= SLOW_AFTER).then(slow)
}

fn failure(kind: Kind, object: &DynamicObject, source: Source, reason: String, message: String) -> Issue {
    Issue {
        component: object.labels().get(COMPONENT).cloned().unwrap_or_default(),
        source,
        reason,
        object: format!("{} {}", kind.resource().kind, object.name_any()),
        message,
        is_failure: true,
        until: None,
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::issues::{Issues, uids_needing_events},
        *,
    };

    const QUOTA: &str = r#"pods "shop-api-1" is forbidden: exceeded quota: team, requested: pods=1, used: pods=4, limited: pods=4"#;

    fn object(kind: Kind, name: &str, component: &str, status: &Value) -> (Kind, DynamicObject) {
        let resource = kind.resource();
        let metadata = json!({"name": name, "uid": name, "labels": {COMPONENT: component}, "creationTimestamp": "2026-11-30T10:00:00Z"});
        let object = json!({"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "status": status});
        (kind, serde_json::from_value(object).unwrap())
    }

    fn event(uid: &str) -> Event {
        let event = json!({"metadata": {}, "eventTime": null, "deprecatedLastTimestamp": "2026-11-30T10:00:01Z", "type": "Warning",
            "reason": "FailedCreate", "note": QUOTA, "regarding": {"uid": uid}});
        serde_json::from_value(event).unwrap()
    }

    fn find(live: &Live, events: &[Event], now: &str) -> Issues {
        Issues::find(live, &[], events, now.parse().unwrap())
    }

    #[test]
    fn a_quota_is_reported_in_preference_to_an_exceeded_deadline() {
        let condition = |kind: &str, status: &str, reason: &str, message: &str| json!({"type": kind, "status": status, "reason": reason, "message": message});
        let deadline =
            condition("Progressing", "False", "ProgressDeadlineExceeded", r#"ReplicaSet "shop-api-7d" has timed out progressing."#);
        let quota = condition("ReplicaFailure", "True", "FailedCreate", QUOTA);
        let late = object(Kind::Deployment, "shop-api", "api", &json!({"conditions": [deadline.clone()]}));
        let found = find(&Live::of([late]), &[], "2026-11-30T10:20:00Z");
        assert_eq!((found.list.len(), found.list[0].reason.as_str()), (1, "ProgressDeadlineExceeded"));
        let both = object(Kind::Deployment, "shop-api", "api", &json!({"conditions": [deadline, quota]}));
        let found = find(&Live::of([both]), &[], "2026-11-30T10:20:00Z");
        assert_eq!((found.list.len(), found.list[0].to_string()), (1, format!("Deployment shop-api: {QUOTA}")));
    }

    #[test]
    fn only_events_of_objects_without_pods_are_read() {
        let objects = [
            object(Kind::StatefulSet, "shop-postgres", "postgres", &json!({"replicas": 1})),
            object(Kind::StatefulSet, "shop-nats", "nats", &json!({})),
            object(Kind::Job, "shop-migrate-1", "migrate", &json!({"active": 1})),
            object(Kind::Job, "shop-migrate-2", "migrate", &json!({})),
            object(Kind::Job, "shop-migrate-3", "migrate", &json!({"conditions": [{"type": "Complete", "status": "True"}]})),
        ];
        assert_eq!(uids_needing_events(&Live::of(objects), &[], Timestamp::UNIX_EPOCH), ["shop-nats", "shop-migrate-2"]);
    }

    #[test]
    fn the_event_of_an_object_without_pods_is_quoted() {
        let live = Live::of([object(Kind::StatefulSet, "shop-nats", "nats", &json!({})), object(Kind::Job, "job", "migrate", &json!({}))]);
        let found = find(&live, &[event("job"), event("shop-nats")], "2026-11-30T10:00:02Z");
        let all: Vec<_> = found.failures().map(ToString::to_string).collect();
        assert_eq!(all, [format!("StatefulSet shop-nats: {QUOTA}"), format!("Job job: {QUOTA}")]);
    }

    #[test]
    fn a_job_without_pods_is_reported_after_a_minute() {
        let live = Live::of([object(Kind::Job, "job", "migrate", &json!({}))]);
        let before = find(&live, &[], "2026-11-30T10:00:59Z");
        assert_eq!((before.list.len(), before.changes_at), (0, Some("2026-11-30T10:01:00Z".parse().unwrap())));
        let after = find(&live, &[], "2026-11-30T10:01:00Z");
        assert_eq!((after.of("migrate").map(|issue| issue.reason.as_str()), after.failures().count()), (Some("NoPods"), 0));
    }
}
