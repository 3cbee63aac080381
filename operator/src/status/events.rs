//! Reads warning Events for conditions.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::events::v1::Event;

/// Maximum age of a relevant Event: controllers and kubelets retry at least every 1000 seconds.
const RECENT: SignedDuration = SignedDuration::from_mins(20);

/// Reason and note of the last recent warning about the object of that uid, optionally of one reason.
pub fn last_warning(events: &[Event], uid: Option<&str>, reason: Option<&str>, now: Timestamp) -> Option<(String, String)> {
    let about = |event: &&Event| {
        event.type_.as_deref() == Some("Warning")
            && uid.is_some()
            && event.regarding.as_ref().and_then(|regarding| regarding.uid.as_deref()) == uid
            && (reason.is_none() || event.reason.as_deref() == reason)
    };
    let recent = events.iter().filter(about).filter_map(|event| Some((last_seen(event)?, event)));
    let (_, event) = recent.filter(|(at, _)| now.duration_since(*at) <= RECENT).max_by_key(|(at, _)| *at)?;
    Some((event.reason.clone()?, event.note.clone().unwrap_or_default()))
}

fn last_seen(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().map(|series| series.last_observed_time.0);
    let last = event.deprecated_last_timestamp.as_ref().map(|time| time.0);
    let first = event.event_time.as_ref().map(|time| time.0);
    let created = event.metadata.creation_timestamp.as_ref().map(|time| time.0);
    [series, last, first].into_iter().flatten().max().or(created)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_recent_warning_about_the_object_is_used() {
        let event = |uid: &str, kind: &str, at: &str, note: &str| -> Event {
            let regarding = json!({"kind": "Job", "name": "shop-migrate-1", "uid": uid});
            let event = json!({"metadata": {}, "eventTime": null, "type": kind, "reason": "FailedCreate", "note": note,
                "deprecatedLastTimestamp": at, "regarding": regarding});
            serde_json::from_value(event).unwrap()
        };
        let events = [
            event("a", "Warning", "2026-11-30T10:01:00Z", "exceeded quota: cpu"),
            event("a", "Warning", "2026-11-30T10:02:00Z", "exceeded quota: memory"),
            event("a", "Normal", "2026-11-30T10:03:00Z", "created"),
            event("b", "Warning", "2026-11-30T10:03:00Z", "another object"),
        ];
        let at = |now: &str| last_warning(&events, Some("a"), Some("FailedCreate"), now.parse().unwrap());
        assert_eq!(at("2026-11-30T10:05:00Z").unwrap().1, "exceeded quota: memory");
        assert_eq!(at("2026-11-30T10:30:00Z"), None);
    }
}
