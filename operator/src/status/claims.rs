//! Issues of `PersistentVolumeClaims`: unbound, terminating or lost.

use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use kube::{ResourceExt, api::DynamicObject};

use super::{
    conditions::ConditionState,
    events::last_warning,
    issue::{Issue, Source},
};
use crate::{
    kinds::Kind,
    live::{COMPONENT, Live, claims::claim_facts},
    validate::Skipped,
};

/// Claims that are not bound to a volume.
pub fn unbound(live: &Live) -> impl Iterator<Item = &DynamicObject> {
    live.of_kind(Kind::PersistentVolumeClaim).filter(|claim| !claim_facts(claim).is_bound)
}

/// Appends skipped fields of a volume to the condition of its component.
pub fn append_skipped(skipped: &[Skipped], part: &str, state: &mut ConditionState) {
    for Skipped { path, message } in skipped.iter().filter(|skipped| skipped.path.starts_with(part)) {
        state.message = format!("{}; {path}: {message}", state.message);
    }
}

/// Finds issues of claims: unbound ones with a warning in `events`, and terminating or lost ones.
pub fn issues(live: &Live, events: &[Event], now: Timestamp) -> Vec<Issue> {
    live.of_kind(Kind::PersistentVolumeClaim).filter_map(|claim| issue(claim, events, now)).collect()
}

fn issue(claim: &DynamicObject, events: &[Event], now: Timestamp) -> Option<Issue> {
    let found = claim_facts(claim);
    let volume = claim.data["spec"]["volumeName"].as_str().unwrap_or_default();
    let (reason, message) = if claim.data["status"]["phase"] == "Lost" {
        let message = format!(
            "PersistentVolume {volume} no longer exists and its data is lost: delete this claim and restore one of the same name \
             from a backup or snapshot"
        );
        ("VolumeLost".to_owned(), message)
    } else if found.is_bound && claim.metadata.deletion_timestamp.is_some() {
        let message = format!(
            "was deleted and exists only until its pod ends: back up its data or set persistentVolumeReclaimPolicy of \
             PersistentVolume {volume} to Retain before the pod is replaced"
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
    fn a_terminating_claim_is_reported_while_its_pod_uses_it() {
        assert_eq!(found(&json!({}), "Bound"), None);
        let (reason, text) = found(&json!({"deletionTimestamp": "2026-11-30T10:00:00Z"}), "Bound").unwrap();
        assert_eq!(reason, "ClaimTerminating");
        assert!(text.starts_with("PersistentVolumeClaim shop-nats-data (storage class standard, 1Gi): was deleted"), "{text}");
        assert!(text.contains("PersistentVolume pv-1 to Retain"), "{text}");
    }

    #[test]
    fn a_claim_whose_volume_was_deleted_is_reported() {
        let (reason, text) = found(&json!({}), "Lost").unwrap();
        assert!(reason == "VolumeLost" && text.contains("PersistentVolume pv-1 no longer exists"), "{text}");
    }
}
