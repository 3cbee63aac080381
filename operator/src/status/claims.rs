//! Claims that get no volume, in the words of the provisioner.

use k8s_openapi::api::core::v1::Event;
use kube::ResourceExt;

use super::Ailment;
use crate::{dereference::claim_facts, kinds::Kind, live::Live};

/// Uids of the claims without a volume.
#[must_use]
pub fn unbound(live: &Live) -> Vec<String> {
    live.of_kind(Kind::Claim).filter(|claim| !claim_facts(claim).is_bound).filter_map(ResourceExt::uid).collect()
}

/// The first claim without a volume that `events` of its uid warn about, if there is one.
#[must_use]
pub fn pending_claim(live: &Live, events: &[Event]) -> Option<Ailment> {
    live.of_kind(Kind::Claim).find_map(|claim| {
        let found = claim_facts(claim);
        let warns = |event: &&Event| event.type_.as_deref() == Some("Warning") && event.involved_object.uid == claim.uid();
        let event = events.iter().filter(warns).max_by_key(|event| event.last_timestamp.as_ref().map(|time| time.0))?;
        let (name, class) = (claim.name_any(), found.storage_class_name.as_deref().unwrap_or("none"));
        let said = event.message.as_deref().unwrap_or_default();
        let message = format!(
            "PersistentVolumeClaim {name} (storage class {class}, {}) has no volume: {said}; correct storage or storageClassName",
            found.storage
        );
        let component = claim.labels().get("app.kubernetes.io/component").cloned().unwrap_or_default();
        let pod = format!("{}-0", name.strip_suffix("-data").unwrap_or(&name));
        (!found.is_bound).then(|| Ailment { component, pod, reason: event.reason.clone().unwrap_or_default(), message })
    })
}
