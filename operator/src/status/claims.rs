//! Claims that get no volume, in the words of the provisioner, and claims whose data is lost or will be.

use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use kube::{ResourceExt, api::DynamicObject};

use super::{
    conditions::ConditionState,
    events::last_warning,
    issue::{Issue, Source},
    parts::COMPONENT,
};
use crate::{dereference::claim_facts, kinds::Kind, live::Live, validate::Skipped};

/// The claims without a volume.
pub fn unbound(live: &Live) -> impl Iterator<Item = &DynamicObject> {
    live.of_kind(Kind::PersistentVolumeClaim).filter(|claim| !claim_facts(claim).is_bound)
}

/// Adds what a bound volume cannot have of what is declared to the condition of its part.
pub fn judge(skipped: &[Skipped], part: &str, state: &mut ConditionState) {
    for Skipped { path, message } in skipped.iter().filter(|skipped| skipped.path.starts_with(part)) {
        state.message = format!("{}; {path}: {message}", state.message);
    }
}

/// What is wrong with claims: those without a volume that `events` warn about, and those whose data is lost or will be.
pub fn issues(live: &Live, events: &[Event], now: Timestamp) -> Vec<Issue> {
    live.of_kind(Kind::PersistentVolumeClaim).filter_map(|claim| issue(claim, events, now)).collect()
}

fn issue(claim: &DynamicObject, events: &[Event], now: Timestamp) -> Option<Issue> {
    let found = claim_facts(claim);
    let volume = claim.data["spec"]["volumeName"].as_str().unwrap_or_default();
    let (reason, message) = if claim.data["status"]["phase"] == "Lost" {
        let message = format!(
            "PersistentVolume {volume} does not exist any more, and the data on it is lost: restore a claim of that name from a \
             backup or snapshot in the place of this one"
        );
        ("VolumeLost".to_owned(), message)
    } else if found.is_bound && claim.metadata.deletion_timestamp.is_some() {
        let message = format!(
            "was deleted, and exists only until its pod ends: back up its data, or set persistentVolumeReclaimPolicy of \
             PersistentVolume {volume} to Retain, before the pod is replaced"
        );
        ("ClaimTerminating".to_owned(), message)
    } else if found.is_bound {
        return None;
    } else {
        let (reason, note) = last_warning(events, claim.metadata.uid.as_deref(), None, now)?;
        (reason, format!("no volume: {note}; correct storage or storageClassName"))
    };
    let class = found.storage_class_name.as_deref().unwrap_or("none");
    Some(Issue {
        component: claim.labels().get(COMPONENT).cloned().unwrap_or_default(),
        source: Source::Claim,
        reason,
        object: format!("PersistentVolumeClaim {} (storage class {class}, {})", claim.name_any(), found.storage),
        message,
        is_failure: true,
        until: None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn found(metadata: &Value, phase: &str) -> Option<(String, String)> {
        let mut claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "shop-nats-data", "labels": {COMPONENT: "nats"}},
            "spec": {"volumeName": "pv-1", "storageClassName": "standard", "resources": {"requests": {"storage": "1Gi"}}},
            "status": {"phase": phase},
        });
        for (field, value) in metadata.as_object().unwrap() {
            claim["metadata"][field] = value.clone();
        }
        let live = Live::of([(Kind::PersistentVolumeClaim, serde_json::from_value(claim).unwrap())]);
        let issue = issues(&live, &[], Timestamp::UNIX_EPOCH).pop()?;
        assert!(issue.is_failure && issue.component == "nats", "{issue:?}");
        Some((issue.reason.clone(), issue.to_string()))
    }

    #[test]
    fn a_bound_claim_that_is_deleted_is_reported_while_its_pod_keeps_it() {
        assert_eq!(found(&json!({}), "Bound"), None);
        let (reason, text) = found(&json!({"deletionTimestamp": "2026-11-30T10:00:00Z"}), "Bound").unwrap();
        assert_eq!(reason, "ClaimTerminating");
        assert!(text.starts_with("PersistentVolumeClaim shop-nats-data (storage class standard, 1Gi): was deleted"), "{text}");
        assert!(text.contains("PersistentVolume pv-1 to Retain"), "{text}");
    }

    #[test]
    fn a_claim_whose_volume_does_not_exist_any_more_is_reported() {
        let (reason, text) = found(&json!({}), "Lost").unwrap();
        assert!(reason == "VolumeLost" && text.contains("PersistentVolume pv-1 does not exist any more"), "{text}");
    }
}
