//! The volume of the embedded NATS, which is replaced without consent if it is lost: what counts is in the database.

use jiff::Timestamp;
use kube::{Resource, ResourceExt};

use super::conditions::ConditionState;
use crate::{
    crd::{Catalog, MessagingStatus, Time},
    dereference::claim_facts,
    kinds::Kind,
    live::Live,
};

/// What is lost with a volume, and what isn't (api/src/events/relay/replay.rs).
pub const LOST: &str = "views that waited to be counted and dead-lettered messages are lost; changes of the last 7 days are published \
     again from the database";

/// Which volume NATS works on now.
#[must_use]
pub fn volume(catalog: &Catalog, live: &Live, now: Timestamp) -> Option<MessagingStatus> {
    let before = catalog.status.as_ref().and_then(|status| status.messaging.clone());
    let claim = live.get(Kind::PersistentVolumeClaim, &format!("{}-nats-data", catalog.name_any()));
    // A claim without a volume may be replaced, and holds nothing.
    let bound = claim.filter(|claim| claim_facts(claim).is_bound && claim.meta().deletion_timestamp.is_none());
    let (Some(bound), Some(_)) = (bound, &catalog.spec.messaging.embedded) else { return before };
    let before = before.unwrap_or_default();
    let is_another = before.claim_uid.is_some() && before.claim_uid != bound.uid();
    let volume_replaced_at = if is_another { Some(Time(now)) } else { before.volume_replaced_at };
    Some(MessagingStatus { claim_uid: bound.uid(), volume_replaced_at })
}

/// Adds to the condition that the volume was replaced.
pub fn judge(status: Option<&MessagingStatus>, state: &mut ConditionState) {
    if let Some(at) = status.and_then(|status| status.volume_replaced_at.as_ref()) {
        state.message = format!("{}; its volume was replaced at {}: {LOST}", state.message, at.0);
    }
}
