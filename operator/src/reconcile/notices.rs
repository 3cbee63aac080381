//! Derives Events from a change of the status.

use jiff::Timestamp;
use kube::runtime::events::EventType;

use crate::{
    crd::{CatalogStatus, Condition, ScheduledRotations, Time},
    status::{ROTATION_BLOCKED, SKIPPED, messaging::LOST},
    validate::{ROTATE, ROTATE_DATABASE_PASSWORD},
};

/// An Event about a Catalog.
#[derive(Debug, PartialEq, Eq)]
pub struct Notice {
    /// `Warning` if a user may have to act.
    pub kind: EventType,
    /// Reason of the Event, in `CamelCase`.
    pub reason: String,
    /// Text of the Event.
    pub note: String,
}

/// Derives the Events about changes from `before` to `after`.
pub fn notices(before: Option<&CatalogStatus>, after: &CatalogStatus, now: Timestamp) -> Vec<Notice> {
    [
        readiness(before, after, now),
        migration(before, after),
        upgrade(before, after),
        messaging_volume(before, after),
        changed_to(before, after, "Degraded", "True").map(|degraded| warning(&degraded.reason, degraded.message.clone())),
        incomplete(before, after),
    ]
    .into_iter()
    .flatten()
    .chain(scheduled_rotations(before, after))
    .collect()
}

fn readiness(before: Option<&CatalogStatus>, after: &CatalogStatus, now: Timestamp) -> Option<Notice> {
    let was = before.and_then(|before| condition(before, "Ready"));
    let is = condition(after, "Ready")?;
    match was.map(|was| was.status == "True") {
        Some(true) if is.status != "True" => {
            let ready = before.map(describe_ready).unwrap_or_default();
            Some(warning("NotReady", format!("{}: {}. It had been ready for {}: {ready}.", is.reason, is.message, time_in_state(was, now))))
        }
        // A Catalog that has served before has a version.
        Some(false) if is.status == "True" && before.is_some_and(|before| before.version.is_some()) => {
            Some(normal("Recovered", format!("{}. It was not ready for {}.", is.message, time_in_state(was, now))))
        }
        Some(true) => changed_to(before, after, "Ready", "True").map(|ready| normal(&ready.reason, ready.message.clone())),
        Some(false) | None => (is.status == "True").then(|| normal(&is.reason, is.message.clone())),
    }
}

fn migration(before: Option<&CatalogStatus>, after: &CatalogStatus) -> Option<Notice> {
    let was = before.and_then(|before| condition(before, "Migrated"));
    let is = condition(after, "Migrated")?;
    let ended = is.status == "True" && was.is_some_and(|was| was.status == "False");
    let failed = is.reason == "MigrationFailed" && was.is_none_or(|was| was.reason != is.reason);
    if ended {
        Some(normal("MigrationSucceeded", is.message.clone()))
    } else {
        failed.then(|| warning("MigrationFailed", is.message.clone()))
    }
}

fn upgrade(before: Option<&CatalogStatus>, after: &CatalogStatus) -> Option<Notice> {
    let (from, to) = (before?.version.as_ref()?, after.version.as_ref()?);
    (from != to).then(|| normal("Upgraded", format!("All pods run {to}; they ran {from} before.")))
}

fn messaging_volume(before: Option<&CatalogStatus>, after: &CatalogStatus) -> Option<Notice> {
    let replaced_at = |status: &CatalogStatus| status.messaging.as_ref().and_then(|messaging| messaging.volume_replaced_at.clone());
    let is_new = replaced_at(after).is_some() && replaced_at(after) != before.and_then(replaced_at);
    is_new.then(|| warning("MessagingVolumeReplaced", format!("The volume of NATS was replaced: {LOST}.")))
}

/// A changed message is a new Event: it may be about another value of an annotation. The Event about `Degraded` reports a rejected spec.
fn incomplete(before: Option<&CatalogStatus>, after: &CatalogStatus) -> Option<Notice> {
    let is = condition(after, "Complete").filter(|is| is.status == "False" && [SKIPPED, ROTATION_BLOCKED].contains(&is.reason.as_str()))?;
    let was = before.and_then(|before| condition(before, "Complete"));
    was.is_none_or(|was| (&was.status, &was.message) != (&is.status, &is.message)).then(|| warning(&is.reason, is.message.clone()))
}

fn scheduled_rotations(before: Option<&CatalogStatus>, after: &CatalogStatus) -> impl Iterator<Item = Notice> {
    let of = |status: &CatalogStatus| {
        let ScheduledRotations { signing_keys, database_password } = status.scheduled_rotations.clone().unwrap_or_default();
        [(ROTATE, "The signing keys are", signing_keys), (ROTATE_DATABASE_PASSWORD, "The database password is", database_password)]
    };
    let before = before.map(of);
    of(after).into_iter().filter(move |rotation| before.as_ref().is_none_or(|before| !before.contains(rotation))).filter_map(
        |(annotation, what, at)| {
            let Time(at) = at?;
            Some(normal("RotationScheduled", format!("{what} rotated at {at}, as annotation {annotation} requests.")))
        },
    )
}

/// The condition, if it has this status now and had another status or reason before.
fn changed_to<'a>(before: Option<&CatalogStatus>, after: &'a CatalogStatus, kind: &str, status: &str) -> Option<&'a Condition> {
    let is = condition(after, kind).filter(|is| is.status == status)?;
    let was = before.and_then(|before| condition(before, kind));
    was.is_none_or(|was| (&was.status, &was.reason) != (&is.status, &is.reason)).then_some(is)
}

fn condition<'a>(status: &'a CatalogStatus, kind: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|condition| condition.type_ == kind)
}

/// Release and ready pods, such as `release 0.1.0, api 2/2, notifier 1/1`.
fn describe_ready(before: &CatalogStatus) -> String {
    let replicas = before.replicas.clone().unwrap_or_default();
    let parts = [
        ("release", before.version.clone().unwrap_or_default()),
        ("api", replicas.api),
        ("notifier", replicas.notifier),
        ("tracker", replicas.tracker),
        ("fulfiller", replicas.fulfiller),
    ];
    let parts: Vec<_> = parts.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name} {value}")).collect();
    parts.join(", ")
}

fn time_in_state(was: Option<&Condition>, now: Timestamp) -> String {
    let seconds = was.map_or(0, |was| now.duration_since(was.last_transition_time.0).as_secs());
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

fn normal(reason: &str, note: String) -> Notice {
    Notice { kind: EventType::Normal, reason: reason.into(), note }
}

fn warning(reason: &str, note: String) -> Notice {
    Notice { kind: EventType::Warning, reason: reason.into(), note }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use serde_json::{Value, json};

    use super::*;

    fn status(version: Option<&str>, conditions: &[(&str, &str, &str)]) -> CatalogStatus {
        let conditions: Vec<Value> = conditions
            .iter()
            .map(|(kind, status, reason)| json!({"type": kind, "status": status, "reason": reason, "message": "text", "lastTransitionTime": "1970-01-01T00:00:00Z"}))
            .collect();
        let replicas = json!({"api": "2/2", "notifier": "1/1", "tracker": "1/1", "fulfiller": "1/1"});
        serde_json::from_value(json!({"conditions": conditions, "version": version, "replicas": replicas})).unwrap()
    }

    fn reported(before: Option<&CatalogStatus>, after: &CatalogStatus) -> Vec<String> {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(300);
        notices(before, after, now).into_iter().map(|notice| format!("{}: {}", notice.reason, notice.note)).collect()
    }

    #[test]
    fn an_unchanged_status_publishes_no_event() {
        let same = status(Some("1.0"), &[("Ready", "True", "Ready"), ("Migrated", "True", "Succeeded"), ("Complete", "False", "Skipped")]);
        assert_eq!(reported(Some(&same), &same), Vec::<String>::new());
    }

    #[test]
    fn the_event_of_a_lost_readiness_lists_what_was_ready() {
        let (before, after) =
            (status(Some("1.0"), &[("Ready", "True", "Ready")]), status(Some("1.0"), &[("Ready", "False", "Unavailable")]));
        let expected =
            "NotReady: Unavailable: text. It had been ready for 5 min: release 1.0, api 2/2, notifier 1/1, tracker 1/1, fulfiller 1/1.";
        assert_eq!(reported(Some(&before), &after), [expected]);
        assert_eq!(reported(Some(&after), &before), ["Recovered: text. It was not ready for 5 min."]);
    }

    #[test]
    fn the_first_readiness_publishes_one_event() {
        let after = status(Some("1.0"), &[("Ready", "True", "Ready")]);
        assert_eq!(reported(Some(&status(None, &[("Ready", "False", "Starting")])), &after), ["Ready: text"]);
    }

    #[test]
    fn migrations_and_upgrades_publish_events() {
        let running = status(Some("1.0"), &[("Migrated", "False", "MigrationRunning")]);
        let succeeded = status(Some("1.1"), &[("Migrated", "True", "Succeeded")]);
        let failed = status(Some("1.0"), &[("Migrated", "False", "MigrationFailed")]);
        assert_eq!(reported(Some(&running), &succeeded), ["MigrationSucceeded: text", "Upgraded: All pods run 1.1; they ran 1.0 before."]);
        assert_eq!(reported(Some(&running), &failed), ["MigrationFailed: text"]);
    }

    #[test]
    fn skipped_objects_and_degradation_publish_events_when_they_begin() {
        let before = status(None, &[("Degraded", "False", "Healthy"), ("Complete", "True", "NothingSkipped")]);
        let after = status(None, &[("Degraded", "True", "ImagePullBackOff"), ("Complete", "False", "Skipped")]);
        assert_eq!(reported(Some(&before), &after), ["ImagePullBackOff: text", "Skipped: text"]);
    }

    #[test]
    fn each_value_of_an_ignored_annotation_publishes_an_event() {
        let skipped = |message: &str| {
            let mut status = status(None, &[("Complete", "False", "Skipped")]);
            status.conditions[0].message = message.into();
            status
        };
        assert_eq!(reported(Some(&skipped("\"a\" is ignored")), &skipped("\"b\" is ignored")), ["Skipped: \"b\" is ignored"]);
        assert_eq!(reported(Some(&skipped("\"b\" is ignored")), &skipped("\"b\" is ignored")), Vec::<String>::new());
    }

    #[test]
    fn a_scheduled_rotation_publishes_one_event() {
        let at = |seconds: i64| {
            let database_password = Some(Time(Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)));
            let rotations = ScheduledRotations { signing_keys: None, database_password };
            CatalogStatus { scheduled_rotations: Some(rotations), ..status(None, &[]) }
        };
        let expected = "RotationScheduled: The database password is rotated at 1970-01-01T00:10:00Z, as annotation \
                        catalog.rs/rotate-database-password requests.";
        assert_eq!(reported(Some(&at(500)), &at(600)), [expected]);
        assert_eq!(reported(Some(&at(600)), &at(600)), Vec::<String>::new());
        assert_eq!(reported(Some(&at(600)), &status(None, &[])), Vec::<String>::new(), "it has started, or the annotation was removed");
    }
}
