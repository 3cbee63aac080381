//! Claims that get no volume, in the words of the provisioner.

use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use kube::{ResourceExt, api::DynamicObject};

use super::{
    events::last_warning,
    issue::{Issue, Source},
    parts::COMPONENT,
};
use crate::{dereference::claim_facts, kinds::Kind, live::Live};

/// The claims without a volume.
pub fn unbound(live: &Live) -> impl Iterator<Item = &DynamicObject> {
    live.of_kind(Kind::Claim).filter(|claim| !claim_facts(claim).is_bound)
}

/// Claims without a volume that `events` warn about.
pub fn issues(live: &Live, events: &[Event], now: Timestamp) -> Vec<Issue> {
    let issue = |claim: &DynamicObject| {
        let (reason, note) = last_warning(events, claim.metadata.uid.as_deref(), None, now)?;
        let found = claim_facts(claim);
        let class = found.storage_class_name.as_deref().unwrap_or("none");
        Some(Issue {
            component: claim.labels().get(COMPONENT).cloned().unwrap_or_default(),
            source: Source::Claim,
            reason,
            object: format!("PersistentVolumeClaim {} (storage class {class}, {})", claim.name_any(), found.storage),
            message: format!("no volume: {note}; correct storage or storageClassName"),
            is_failure: true,
            until: None,
        })
    };
    unbound(live).filter_map(issue).collect()
}
