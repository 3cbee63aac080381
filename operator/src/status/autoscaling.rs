//! Derives the condition `AutoscalingReady` from the conditions of the autoscalers.

use std::time::Duration;

use jiff::Timestamp;
use kube::{ResourceExt, api::DynamicObject};
use serde_json::Value;

use super::conditions::ConditionState;
use crate::{
    crd::Catalog,
    kinds::Kind,
    live::{
        Live,
        conditions::conditions,
        deployment_names,
        scaled_objects::{OBSERVED_WITHIN, failures, is_ignored, is_unobserved},
        scaling::{PAUSED, PAUSED_REPLICAS, is_paused},
    },
};

/// Time after which a failing autoscaler makes the Catalog degraded. A new pod has no metrics for its first minute.
const GRACE: Duration = Duration::from_mins(2);

/// A reason why an autoscaler doesn't work.
struct AutoscalerIssue {
    reason: String,
    message: String,
    /// When it began. Absent for issues that don't make the Catalog degraded.
    since: Option<Timestamp>,
}

/// Derives `AutoscalingReady`, and the issues that have lasted for the grace period.
pub fn autoscaling(catalog: &Catalog, live: &Live, now: Timestamp) -> (ConditionState, Option<ConditionState>) {
    let issues: Vec<_> = hpa_issues_of_api(catalog, live)
        .into_iter()
        .chain(scaled_object_issues(catalog, live, now))
        .chain(issues_of_foreign_autoscalers(catalog, live))
        .collect();
    let is_old = |issue: &&AutoscalerIssue| {
        issue.since.is_some_and(|since| Duration::try_from(now.duration_since(since)).is_ok_and(|age| age >= GRACE))
    };
    let spec = &catalog.spec;
    let is_declared = spec.api.autoscaling.is_some() || workers(catalog).any(|(_, is_autoscaled)| is_autoscaled);
    let state = summary(issues.iter()).unwrap_or_else(|| {
        if is_declared {
            ConditionState::yes("Active", "every declared autoscaler works")
        } else {
            ConditionState::yes("NotDeclared", "the Catalog declares fixed numbers of pods")
        }
    });
    (state, summary(issues.iter().filter(is_old)))
}

fn summary<'a>(issues: impl Iterator<Item = &'a AutoscalerIssue>) -> Option<ConditionState> {
    let issues: Vec<_> = issues.collect();
    let messages: Vec<_> = issues.iter().map(|issue| issue.message.as_str()).collect();
    Some(ConditionState::no(&issues.first()?.reason, messages.join("; ")))
}

fn workers(catalog: &Catalog) -> impl Iterator<Item = (&'static str, bool)> {
    let spec = &catalog.spec;
    let all = [("notifier", &spec.notifier), ("tracker", &spec.tracker), ("fulfiller", &spec.fulfiller)];
    all.into_iter().map(|(role, worker)| (role, worker.autoscaling.is_some()))
}

/// Issues of the `HorizontalPodAutoscaler` of the API.
fn hpa_issues_of_api(catalog: &Catalog, live: &Live) -> Vec<AutoscalerIssue> {
    if catalog.spec.api.autoscaling.is_none() {
        return Vec::new();
    }
    let name = format!("{}-api", catalog.name_any());
    let Some(scaler) = live.get(Kind::HorizontalPodAutoscaler, &name) else { return vec![missing_issue("HorizontalPodAutoscaler", &name)] };
    hpa_issues(scaler).collect()
}

/// Issues in the conditions of a `HorizontalPodAutoscaler`.
fn hpa_issues(scaler: &DynamicObject) -> impl Iterator<Item = AutoscalerIssue> {
    // ScalingDisabled means that the Deployment has 0 replicas, which the condition of the workload reports.
    let failing = conditions(scaler).filter(|condition| {
        matches!(condition["type"].as_str(), Some("AbleToScale" | "ScalingActive"))
            && condition["status"] == "False"
            && condition["reason"] != "ScalingDisabled"
    });
    failing.map(|condition| quoted_issue("HorizontalPodAutoscaler", &scaler.name_any(), condition))
}

/// Issues of the `ScaledObjects` of the workers.
fn scaled_object_issues(catalog: &Catalog, live: &Live, now: Timestamp) -> Vec<AutoscalerIssue> {
    let mut issues = Vec::new();
    for (role, _) in workers(catalog).filter(|(_, is_autoscaled)| *is_autoscaled) {
        let name = format!("{}-{role}", catalog.name_any());
        let path = format!("spec.{role}.autoscaling");
        match live.get(Kind::ScaledObject, &name) {
            _ if !live.has_keda() => {
                let message = format!("{path} needs KEDA, which is not installed: Deployment {name} has a fixed number of pods");
                issues.push(AutoscalerIssue { reason: "KedaNotInstalled".into(), message, since: None });
            }
            None => issues.push(missing_issue("ScaledObject", &name)),
            Some(_) if is_paused(live, &name) => {
                let message = format!("ScaledObject {name} is paused by its annotation {PAUSED_REPLICAS} or {PAUSED}");
                issues.push(AutoscalerIssue { reason: "Paused".into(), message, since: None });
            }
            Some(scaler) if is_ignored(scaler, now) => issues.push(ignored_issue(scaler)),
            Some(scaler) => {
                issues.extend(failures(scaler).map(|condition| quoted_issue("ScaledObject", &name, condition)));
                let owned = live.unlabelled_autoscalers().filter(|owned| is_controlled_by(owned, "ScaledObject", &name));
                issues.extend(owned.flat_map(hpa_issues));
            }
        }
    }
    issues
}

/// When the next `ScaledObject` without a status starts to count as ignored by KEDA.
#[must_use]
pub fn next_ignored_at(live: &Live, now: Timestamp) -> Option<Timestamp> {
    let unobserved = live.of_kind(Kind::ScaledObject).filter(|scaler| is_unobserved(scaler));
    unobserved.filter_map(|scaler| Some(scaler.creation_timestamp()?.0 + OBSERVED_WITHIN)).filter(|at| *at > now).min()
}

fn ignored_issue(scaler: &DynamicObject) -> AutoscalerIssue {
    let name = scaler.name_any();
    let message = format!(
        "ScaledObject {name} has no status from KEDA {} s after it was created: check that Deployment keda-operator runs and watches \
         this namespace. Deployment {name} isn't scaled and keeps at least 1 pod",
        OBSERVED_WITHIN.as_secs()
    );
    AutoscalerIssue { reason: "KedaNotRunning".into(), message, since: scaler.creation_timestamp().map(|created| created.0) }
}

fn is_controlled_by(object: &DynamicObject, kind: &str, name: &str) -> bool {
    object.owner_references().iter().any(|owner| owner.controller == Some(true) && owner.kind == kind && owner.name == name)
}

/// Autoscalers of other owners that scale a Deployment of this Catalog.
fn issues_of_foreign_autoscalers(catalog: &Catalog, live: &Live) -> Vec<AutoscalerIssue> {
    let names = deployment_names(&catalog.name_any());
    let is_own = |scaler: &DynamicObject| {
        let controller = scaler.owner_references().iter().find(|owner| owner.controller == Some(true));
        controller.is_some_and(|owner| {
            Some(&owner.uid) == catalog.metadata.uid.as_ref()
                || (owner.kind == "ScaledObject" && live.get(Kind::ScaledObject, &owner.name).is_some())
        })
    };
    let mut issues = Vec::new();
    for scaler in live.of_kind(Kind::HorizontalPodAutoscaler).chain(live.unlabelled_autoscalers()).filter(|scaler| !is_own(scaler)) {
        let target = &scaler.data["spec"]["scaleTargetRef"];
        let Some(name) = names.iter().find(|name| target["kind"] == "Deployment" && target["name"] == name.as_str()) else { continue };
        let message = format!(
            "HorizontalPodAutoscaler {} also scales Deployment {name}: delete it and set the bounds in the Catalog",
            scaler.name_any()
        );
        let since = scaler.creation_timestamp().map(|time| time.0);
        issues.push(AutoscalerIssue { reason: "ForeignAutoscaler".into(), message, since });
    }
    issues
}

fn missing_issue(kind: &str, name: &str) -> AutoscalerIssue {
    AutoscalerIssue { reason: "NotCreated".into(), message: format!("{kind} {name} doesn't exist yet"), since: None }
}

/// Returns an issue that quotes a condition of the controller.
fn quoted_issue(kind: &str, name: &str, condition: &Value) -> AutoscalerIssue {
    let text = |field: &str| condition[field].as_str().unwrap_or_default();
    let (condition_type, status, reason) = (text("type"), text("status"), text("reason"));
    let message = format!("{kind} {name}: {condition_type} is {status} ({reason}): {}", text("message"));
    // KEDA's conditions have no time. They change only after several polls.
    let since = text("lastTransitionTime").parse().unwrap_or(Timestamp::UNIX_EPOCH);
    AutoscalerIssue { reason: if reason.is_empty() { condition_type.into() } else { reason.into() }, message, since: Some(since) }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use serde_json::json;

    use super::*;
    use crate::{build::samples, live::scaled_objects::cannot_read_triggers};

    fn scaler(kind: &str, name: &str, conditions: &Value) -> DynamicObject {
        let owner = json!({"apiVersion": "catalog.rs/v1alpha1", "kind": "Catalog", "name": "shop", "uid": samples::full_input().0.metadata.uid, "controller": true});
        let metadata = json!({"name": name, "ownerReferences": [owner]});
        let spec = json!({"scaleTargetRef": {"kind": "Deployment", "name": name}});
        serde_json::from_value(
            json!({"apiVersion": "x/v1", "kind": kind, "metadata": metadata, "spec": spec, "status": {"conditions": conditions}}),
        )
        .unwrap()
    }

    fn live(api: &Value, tracker: &Value) -> Live {
        let workers = ["shop-notifier", "shop-fulfiller"].map(|name| (Kind::ScaledObject, scaler("ScaledObject", name, &json!([]))));
        let api = (Kind::HorizontalPodAutoscaler, scaler("HorizontalPodAutoscaler", "shop-api", api));
        let tracker = (Kind::ScaledObject, scaler("ScaledObject", "shop-tracker", tracker));
        Live::of(workers.into_iter().chain([api, tracker]))
    }

    fn autoscaling_states(api: &Value, tracker: &Value) -> (ConditionState, Option<ConditionState>) {
        autoscaling(&samples::full_input().0, &live(api, tracker), "2026-01-01T00:10:00Z".parse().unwrap())
    }

    #[test]
    fn briefly_missing_metrics_are_reported_without_degrading_the_catalog() {
        let condition = |at: &str| {
            json!([{"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric",
                    "message": "unable to get metrics for resource cpu", "lastTransitionTime": at}])
        };
        let (young, degraded) = autoscaling_states(&condition("2026-01-01T00:09:00Z"), &json!([]));
        assert!(!young.holds && young.message.contains("shop-api: ScalingActive is False (FailedGetResourceMetric): unable"), "{young:?}");
        assert_eq!(degraded, None);
        let (old, degraded) = autoscaling_states(&condition("2026-01-01T00:07:00Z"), &json!([]));
        assert_eq!(degraded, Some(old));
    }

    #[test]
    fn failing_conditions_of_keda_are_quoted() {
        for (condition, is_bad) in [
            (json!({"type": "Ready", "status": "False", "reason": "TriggerError", "message": "no such stream"}), true),
            (json!({"type": "Ready", "status": "Unknown", "reason": "PartialTriggerError", "message": "some"}), true),
            (json!({"type": "Fallback", "status": "True", "reason": "FallbackExists", "message": "a trigger fails"}), true),
            (json!({"type": "HPAActive", "status": "False", "reason": "HPAMetricsUnavailable", "message": "no metrics"}), true),
            (json!({"type": "Ready", "status": "Unknown"}), false),
            (json!({"type": "Active", "status": "False", "reason": "ScalerNotActive"}), false),
            (json!({"type": "HPAActive", "status": "False", "reason": "ScalingDisabled"}), false),
        ] {
            let (state, degraded) = autoscaling_states(&json!([]), &json!([condition]));
            assert_eq!((state.holds, degraded.is_some()), (!is_bad, is_bad), "{condition}");
            let message = condition["message"].as_str().unwrap_or_default();
            assert!(!is_bad || state.message.contains("ScaledObject shop-tracker") && state.message.contains(message), "{state:?}");
        }
    }

    #[test]
    fn a_scaled_object_without_a_status_is_reported_after_a_minute() {
        let created = "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap();
        for (conditions, is_ignored) in [
            (json!([]), true),
            (json!([{"type": "Ready", "status": "Unknown"}, {"type": "Active", "status": "Unknown", "reason": ""}]), true),
            (json!([{"type": "Ready", "status": "True", "reason": "ScaledObjectReady"}]), false),
        ] {
            let mut tracker = scaler("ScaledObject", "shop-tracker", &conditions);
            tracker.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(created));
            let mut live = live(&json!([]), &json!([]));
            live.put(Kind::ScaledObject, tracker.clone());
            let state_at = |seconds| autoscaling(&samples::full_input().0, &live, created + SignedDuration::from_secs(seconds));
            assert!(state_at(59).0.holds);
            assert_eq!(next_ignored_at(&live, created), is_ignored.then_some(created + OBSERVED_WITHIN));
            let (state, degraded) = state_at(60);
            assert_eq!((state.reason.as_str(), degraded), (if is_ignored { "KedaNotRunning" } else { "Active" }, None));
            assert!(!is_ignored || state.message.starts_with("ScaledObject shop-tracker has no status from KEDA 60 s after"), "{state:?}");
            assert_eq!(state_at(120).1.is_some(), is_ignored, "degraded");
            assert_eq!(cannot_read_triggers(&tracker, created + OBSERVED_WITHIN), is_ignored, "the worker needs a pod");
        }
    }

    #[test]
    fn a_second_autoscaler_of_the_same_deployment_is_reported() {
        let mut second = scaler("HorizontalPodAutoscaler", "legacy", &json!([]));
        second.data["spec"]["scaleTargetRef"]["name"] = json!("shop-api");
        second.metadata.owner_references = None;
        let mut live = live(&json!([]), &json!([]));
        assert!(autoscaling(&samples::full_input().0, &live, Timestamp::UNIX_EPOCH).0.holds);
        live.put(Kind::HorizontalPodAutoscaler, second);
        let (state, _) = autoscaling(&samples::full_input().0, &live, Timestamp::UNIX_EPOCH);
        assert!(!state.holds && state.message.starts_with("HorizontalPodAutoscaler legacy also scales Deployment shop-api"), "{state:?}");
    }
}
