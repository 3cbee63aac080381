//! The volume of the embedded NATS. The operator replaces a lost one without consent, because all changes are in the database.

use jiff::Timestamp;
use kube::{Resource, ResourceExt};

use super::conditions::ConditionState;
use crate::{
    crd::{Catalog, MessagingStatus, Time},
    kinds::Kind,
    live::{Live, claims::claim_facts},
};

/// Data that is lost with the volume, and data that is replayed (api/src/events/relay/replay.rs).
pub const LOST: &str = "uncounted views and dead-lettered messages are lost; changes of the last 7 days are published \
     again from the database";

/// Derives `status.messaging`: the claim that NATS uses, and when it was last replaced.
#[must_use]
pub fn volume(catalog: &Catalog, live: &Live, now: Timestamp) -> Option<MessagingStatus> {
    let before = catalog.status.as_ref().and_then(|status| status.messaging.clone());
    let claim = live.get(Kind::PersistentVolumeClaim, &format!("{}-nats-data", catalog.name_any()));
    // An unbound claim has no data and may be replaced.
    let bound = claim.filter(|claim| claim_facts(claim).is_bound && claim.meta().deletion_timestamp.is_none());
    let (Some(bound), Some(_)) = (bound, &catalog.spec.messaging.embedded) else { return before };
    let before = before.unwrap_or_default();
    let is_another = before.claim_uid.is_some() && before.claim_uid != bound.uid();
    let volume_replaced_at = if is_another { Some(Time(now)) } else { before.volume_replaced_at };
    Some(MessagingStatus { claim_uid: bound.uid(), volume_replaced_at })
}

/// Appends to the condition when the volume was replaced.
pub fn append_replacement(status: Option<&MessagingStatus>, state: &mut ConditionState) {
    if let Some(at) = status.and_then(|status| status.volume_replaced_at.as_ref()) {
        state.message = format!("{}; its volume was replaced at {}: {LOST}", state.message, at.0);
    }
}
