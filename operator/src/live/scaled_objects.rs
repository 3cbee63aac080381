//! What KEDA reports on a `ScaledObject`.

use jiff::{SignedDuration, Timestamp};
use kube::{ResourceExt, api::DynamicObject};
use serde_json::Value;

use super::conditions::conditions;

/// Time within which KEDA must set the status of a new `ScaledObject`.
pub const OBSERVED_WITHIN: SignedDuration = SignedDuration::from_mins(1);

/// Whether KEDA hasn't reconciled an object: its conditions are absent, or Unknown without a reason.
#[must_use]
pub fn is_unobserved(scaler: &DynamicObject) -> bool {
    !conditions(scaler).any(|condition| {
        condition["type"] == "Ready"
            && (condition["status"] != "Unknown" || condition["reason"].as_str().is_some_and(|reason| !reason.is_empty()))
    })
}

/// Whether KEDA ignores an object, because its CRDs are installed but its operator doesn't run.
#[must_use]
pub fn is_ignored(scaler: &DynamicObject, now: Timestamp) -> bool {
    is_unobserved(scaler) && scaler.creation_timestamp().is_some_and(|created| now.duration_since(created.0) >= OBSERVED_WITHIN)
}

/// Conditions that report that KEDA cannot read a trigger or cannot scale.
pub fn failures(scaler: &DynamicObject) -> impl Iterator<Item = &Value> {
    conditions(scaler).filter(|condition| {
        // Before KEDA has reconciled it, all conditions are Unknown without a reason.
        let has_reason = condition["reason"].as_str().is_some_and(|reason| !reason.is_empty());
        match condition["type"].as_str() {
            Some("Ready") => condition["status"] == "False" || (condition["status"] == "Unknown" && has_reason),
            Some("Fallback") => condition["status"] == "True",
            Some("HPAActive") => condition["status"] == "False" && condition["reason"] != "ScalingDisabled",
            _ => false,
        }
    })
}

/// Whether KEDA cannot read the triggers or doesn't run, so that it would not start a pod for waiting work.
#[must_use]
pub fn cannot_read_triggers(scaler: &DynamicObject, now: Timestamp) -> bool {
    is_ignored(scaler, now) || failures(scaler).any(|condition| condition["type"] != "HPAActive")
}
