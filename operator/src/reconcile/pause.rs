//! How long until the next reconcile if no event comes before.

use std::time::Duration;

use jiff::Timestamp;

use crate::crd::{CatalogStatus, Condition};

/// kube has no resync: this recovers from lost events. Up to a fifth is added, so that Catalogs spread.
const RESYNC: Duration = Duration::from_mins(10);
/// While the Catalog is progressing: as long as it has been so, within these bounds. The upper one is what a lost event costs.
const PROGRESSING: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(20));
/// The longest while it isn't ready and waits for an edit of its spec or a Secret.
const WAITING: Duration = Duration::from_mins(5);

/// The least before a reconcile that only time asks for.
const LEAST: Duration = Duration::from_secs(1);

/// The pause after a reconcile that has written this status. Time alone changes it `until_change`. `spread`, from 0 to 1, is
/// random.
pub fn pause(status: &CatalogStatus, until_change: Option<Duration>, now: Timestamp, spread: f64) -> Duration {
    let pause = without_change(status, now, spread);
    until_change.map_or(pause, |until| pause.min(until.max(LEAST)))
}

fn without_change(status: &CatalogStatus, now: Timestamp, spread: f64) -> Duration {
    let Some(since) = unsettled(status).map(|condition| condition.last_transition_time.0).min() else {
        return RESYNC.mul_f64(1.0 + spread.clamp(0.0, 1.0) / 5.0);
    };
    let is_progressing = unsettled(status).any(|condition| condition.type_ == "Progressing");
    let longest = if is_progressing { PROGRESSING.1 } else { WAITING };
    Duration::try_from(now.duration_since(since)).unwrap_or_default().clamp(PROGRESSING.0, longest)
}

/// The conditions that say that something isn't ready or settled. A rollout beside pods that work may be stuck as well.
fn unsettled(status: &CatalogStatus) -> impl Iterator<Item = &Condition> {
    status.conditions.iter().filter(|condition| match condition.type_.as_str() {
        // The cause of broken autoscaling counts as degraded after a while, which no event announces.
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
        pause(&serde_json::from_value(status).unwrap(), None, Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds), 0.5)
    }

    #[test]
    fn a_catalog_that_progresses_is_read_every_twenty_seconds_at_least() {
        assert_eq!(after(0, "False", "True"), Duration::from_secs(5));
        assert_eq!(after(12, "False", "True"), Duration::from_secs(12));
        assert_eq!(after(3600, "False", "True"), Duration::from_secs(20));
        assert_eq!(after(3600, "True", "True"), Duration::from_secs(20));
    }

    #[test]
    fn a_catalog_that_waits_for_an_edit_or_is_settled_is_read_rarely() {
        assert_eq!(after(3600, "False", "False"), Duration::from_mins(5));
        assert_eq!(after(3600, "True", "False"), Duration::from_mins(11));
    }
    #[test]
    fn a_reconcile_follows_when_time_alone_changes_the_status() {
        let after = |until| pause(&CatalogStatus::default(), Some(until), Timestamp::UNIX_EPOCH, 0.5);
        assert_eq!(after(Duration::from_mins(2)), Duration::from_mins(2));
        assert_eq!(after(Duration::ZERO), LEAST);
        assert_eq!(after(Duration::from_hours(1)), Duration::from_mins(11));
    }
}
