//! Annotations that request a rotation.

use jiff::Timestamp;

use super::check::{Check, quoted};
use crate::crd::{Catalog, ScheduledRotations, Time};

/// Annotation of a Catalog: signing keys older than this instant (RFC 3339) get a successor.
pub const ROTATE: &str = "catalog.rs/rotate-signing-key";
/// Annotation of a Catalog: a password of the embedded database that is older than this instant (RFC 3339) is replaced.
pub const ROTATE_DATABASE_PASSWORD: &str = "catalog.rs/rotate-database-password";

/// The instant in an annotation, if there is one.
pub fn requested(catalog: &Catalog, annotation: &str, check: &mut Check<'_>) -> Option<Timestamp> {
    let text = given(catalog, annotation)?;
    let instant = parse(text);
    if instant.is_none() {
        let message =
            format!("no rotation: {} is not an instant such as 2026-11-21T10:00:00Z; correct or remove the annotation", quoted(text));
        check.skip(path(annotation), message);
    }
    instant
}

/// The rotations that annotations request for an instant after `now`, or `None` if there are none.
#[must_use]
pub fn scheduled_rotations(catalog: &Catalog, now: Timestamp) -> Option<ScheduledRotations> {
    let later = |instant: Option<Timestamp>| instant.filter(|instant| *instant > now).map(Time);
    let signing_keys = later(given(catalog, ROTATE).and_then(|text| parse(text)));
    let database_password = later(requested_database_rotation(catalog));
    (signing_keys.is_some() || database_password.is_some()).then_some(ScheduledRotations { signing_keys, database_password })
}

/// The instant for which an annotation requests a rotation of the embedded database's password.
#[must_use]
pub fn requested_database_rotation(catalog: &Catalog) -> Option<Timestamp> {
    catalog.spec.database.embedded.as_ref()?;
    parse(given(catalog, ROTATE_DATABASE_PASSWORD)?)
}

/// The password of an external database cannot be rotated here.
pub fn no_database_password(catalog: &Catalog, check: &mut Check<'_>) {
    if given(catalog, ROTATE_DATABASE_PASSWORD).is_some() {
        let message = "no rotation: the password of an external database is changed in its Secret; remove the annotation";
        check.skip(path(ROTATE_DATABASE_PASSWORD), message);
    }
}

/// Parses an instant. Truncated to seconds like the times in Secrets, so that a request for exactly the last rotation's time is not newer
/// than it.
fn parse(text: &str) -> Option<Timestamp> {
    let instant: Timestamp = text.parse().ok()?;
    Timestamp::from_second(instant.as_second()).ok()
}

fn given<'a>(catalog: &'a Catalog, annotation: &str) -> Option<&'a String> {
    catalog.metadata.annotations.as_ref()?.get(annotation)
}

fn path(annotation: &str) -> String {
    format!("metadata.annotations[{annotation}]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        build::samples::{full_input, minimal_input},
        observed::Observed,
        validate::validate,
    };

    #[test]
    fn an_unreadable_rotation_annotation_is_skipped_and_rejects_nothing() {
        let (mut catalog, observed) = minimal_input();
        catalog.metadata.annotations = Some([(ROTATE.to_owned(), "now".to_owned())].into());
        let plan = validate(&catalog, &observed).unwrap();
        assert_eq!(plan.auth.rotate, None);
        assert_eq!(plan.skipped[0].path, "metadata.annotations[catalog.rs/rotate-signing-key]");
        assert!(plan.skipped[0].message.contains("\"now\" is not an instant"), "{:?}", plan.skipped);
    }

    #[test]
    fn only_rotations_in_the_future_are_scheduled() {
        let (earlier, later) = ("2026-11-30T10:00:20Z", "2099-11-30T11:00:00Z");
        let scheduled = |(mut catalog, _): (Catalog, Observed), keys: &str, password: &str| {
            let annotations = [(ROTATE, keys), (ROTATE_DATABASE_PASSWORD, password)].map(|(key, value)| (key.to_owned(), value.to_owned()));
            catalog.metadata.annotations = Some(annotations.into());
            let rotations = scheduled_rotations(&catalog, "2026-11-30T10:00:00Z".parse().unwrap()).unwrap_or_default();
            [rotations.signing_keys, rotations.database_password].map(|at| at.map(|Time(at)| at.to_string()))
        };
        let expected = [Some(earlier.to_owned()), Some(later.to_owned())];
        assert_eq!(scheduled(minimal_input(), earlier, later), expected);
        assert_eq!(scheduled(minimal_input(), "2026-11-30T10:00:20.9Z", later), expected, "whole seconds");
        assert_eq!(scheduled(minimal_input(), "now", later), [None, expected[1].clone()]);
        assert_eq!(scheduled(minimal_input(), "2026-11-30T10:00:00Z", "2026-11-30T09:00:00Z"), [None, None]);
        assert_eq!(scheduled(full_input(), earlier, later), [expected[0].clone(), None], "the database is external");
        assert_eq!(scheduled_rotations(&minimal_input().0, Timestamp::UNIX_EPOCH), None);
    }

    #[test]
    fn a_rotation_of_the_database_password_is_for_embedded_databases_and_needs_an_instant() {
        let skipped = |(mut catalog, observed): (Catalog, Observed), value: &str| {
            catalog.metadata.annotations = Some([(ROTATE_DATABASE_PASSWORD.to_owned(), value.to_owned())].into());
            let skipped = validate(&catalog, &observed).unwrap().skipped.into_iter();
            skipped.filter(|skipped| skipped.path.contains(ROTATE_DATABASE_PASSWORD)).map(|skipped| skipped.message).collect::<Vec<_>>()
        };
        assert_eq!(skipped(minimal_input(), "2026-11-30T10:00:00Z"), Vec::<String>::new());
        assert!(skipped(minimal_input(), "now")[0].contains("\"now\" is not an instant"));
        assert!(skipped(minimal_input(), &"x".repeat(1000))[0].starts_with(&format!("no rotation: {:?} is not", "x".repeat(100))));
        assert!(skipped(full_input(), "2026-11-30T10:00:00Z")[0].contains("external"));
    }
}
