//! The time until the next reconcile if no watch triggers one earlier.

use std::time::Duration;

use jiff::Timestamp;

use crate::crd::{CatalogStatus, Condition};

/// Resync interval. kube has no resync; this one catches lost events. Jitter adds up to a fifth.
const RESYNC: Duration = Duration::from_mins(10);
/// Bounds of the pause while the Catalog is progressing. The pause equals the time since progress began, within these bounds. The upper
/// bound is the longest delay that a lost watch event causes.
const PROGRESSING: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(20));
/// Upper bound of the pause while the Catalog is not ready and waits for an edit of its spec or a Secret.
const MAX_NOT_READY: Duration = Duration::from_mins(5);
/// Lower bound of the pause before a reconcile at a known time.
const MIN_PAUSE: Duration = Duration::from_secs(1);

/// Computes the time until the next reconcile of a Catalog with this status. After `until_change` the status changes without an
/// event. `jitter` is random, from 0 to 1.
pub fn requeue_after(status: &CatalogStatus, until_change: Option<Duration>, now: Timestamp, jitter: f64) -> Duration {
    let pause = pause_by_conditions(status, now, jitter);
    until_change.map_or(pause, |until| pause.min(until.max(MIN_PAUSE)))
}

fn pause_by_conditions(status: &CatalogStatus, now: Timestamp, jitter: f64) -> Duration {
    let Some(since) = pending_conditions(status).map(|condition| condition.last_transition_time.0).min() else {
        return RESYNC.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 5.0);
    };
    let is_progressing = pending_conditions(status).any(|condition| condition.type_ == "Progressing");
    let longest = if is_progressing { PROGRESSING.1 } else { MAX_NOT_READY };
    Duration::try_from(now.duration_since(since)).unwrap_or_default().clamp(PROGRESSING.0, longest)
}

/// Conditions of a Catalog that is progressing, degraded or not ready. A rollout may be stuck although the Catalog is ready.
fn pending_conditions(status: &CatalogStatus) -> impl Iterator<Item = &Condition> {
    status.conditions.iter().filter(|condition| match condition.type_.as_str() {
        // Failing autoscaling makes the Catalog degraded after a grace period, without an event.
        "Ready" | "AutoscalingReady" => condition.status != "True",
        "Progressing" | "Degraded" => condition.status == "True",
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use serde_json::json;

    use super::*;

    fn after(seconds: i64, ready: &str, progressing: &str) -> Duration {
        let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": "R", "message": "", "lastTransitionTime": "1970-01-01T00:00:00Z"});
        let status = json!({"conditions": [condition("Ready", ready), condition("Progressing", progressing)]});
        requeue_after(&serde_json::from_value(status).unwrap(), None, Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds), 0.5)
    }

    #[test]
    fn a_progressing_catalog_is_reconciled_at_least_every_twenty_seconds() {
        assert_eq!(after(0, "False", "True"), Duration::from_secs(5));
        assert_eq!(after(12, "False", "True"), Duration::from_secs(12));
        assert_eq!(after(3600, "False", "True"), Duration::from_secs(20));
        assert_eq!(after(3600, "True", "True"), Duration::from_secs(20));
    }

    #[test]
    fn a_ready_or_waiting_catalog_is_reconciled_rarely() {
        assert_eq!(after(3600, "False", "False"), Duration::from_mins(5));
        assert_eq!(after(3600, "True", "False"), Duration::from_mins(11));
    }

    #[test]
    fn a_reconcile_follows_when_the_status_changes_without_an_event() {
        let after = |until| requeue_after(&CatalogStatus::default(), Some(until), Timestamp::UNIX_EPOCH, 0.5);
        assert_eq!(after(Duration::from_mins(2)), Duration::from_mins(2));
        assert_eq!(after(Duration::ZERO), MIN_PAUSE);
        assert_eq!(after(Duration::from_hours(1)), Duration::from_mins(11));
    }
}
