//! The last spec that was applied in full, kept in the status.
//!
//! The status survives restarts of the operator, edits of the Catalog and the deletion of objects. Like the spec, it contains no
//! value of a Secret.

use super::Outcome;
use crate::{
    crd::{Catalog, LastApplied},
    validate::version,
};

/// The last applied spec after a reconcile with this outcome.
#[must_use]
pub fn after(catalog: &Catalog, outcome: &Outcome, before: Option<LastApplied>) -> Option<LastApplied> {
    match outcome {
        Outcome::Applied(_) => record(catalog).or(before),
        Outcome::Paused | Outcome::Rejected(..) | Outcome::Migrating { .. } | Outcome::Failed(_) => before,
    }
}

/// Whether the last applied spec is that of the Catalog, regardless of `spec.paused`.
#[must_use]
pub fn is_current(catalog: &Catalog) -> bool {
    let Some(last) = self::catalog(catalog) else { return false };
    let mut spec = catalog.spec.clone();
    spec.image.tag = Some(version(&spec.image).to_owned());
    spec.paused = last.spec.paused;
    spec == last.spec
}

fn record(catalog: &Catalog) -> Option<LastApplied> {
    let mut spec = catalog.spec.clone();
    // The default tag is the operator's release. An upgraded operator must not replace this release before its migration.
    spec.image.tag = Some(version(&spec.image).to_owned());
    Some(LastApplied { observed_generation: catalog.metadata.generation, spec: serde_json::to_string(&spec).ok()? })
}

/// The Catalog with the last applied spec, if there is one that this operator can parse.
#[must_use]
pub fn catalog(catalog: &Catalog) -> Option<Catalog> {
    let last = catalog.status.as_ref()?.last_applied.as_ref()?;
    Some(Catalog { spec: serde_json::from_str(&last.spec).ok()?, ..catalog.clone() })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{
        build::{build, samples},
        live::Live,
        status::status,
        validate::{Problems, validate},
    };

    #[test]
    fn the_last_applied_spec_builds_the_same_objects_as_the_spec() {
        for (mut spec, observed) in [samples::minimal_input(), samples::full_input()] {
            spec.status = Some(status(&spec, &Live::default(), &Outcome::Applied(Vec::new()), None, Timestamp::UNIX_EPOCH));
            let last = catalog(&spec).unwrap();
            assert!(last.spec.image.tag.is_some(), "an upgrade of the operator keeps the release");
            assert!(build(&validate(&last, &observed).unwrap()) == build(&validate(&spec, &observed).unwrap()));
        }
    }

    #[test]
    fn a_rejected_spec_does_not_replace_the_last_applied_one() {
        let (mut spec, _) = samples::minimal_input();
        spec.metadata.generation = Some(1);
        spec.status = Some(status(&spec, &Live::default(), &Outcome::Applied(Vec::new()), None, Timestamp::UNIX_EPOCH));
        spec.metadata.generation = Some(2);
        spec.spec.currency = "XXL".into();
        let rejected = Outcome::Rejected(Problems(Vec::new()), None);
        let after = status(&spec, &Live::default(), &rejected, None, Timestamp::UNIX_EPOCH);
        assert_eq!(after.last_applied.unwrap().observed_generation, Some(1));
        let progressing = after.conditions.iter().find(|condition| condition.type_ == "Progressing").unwrap();
        assert!(progressing.message.contains("generation 1") && progressing.observed_generation == Some(2), "{progressing:?}");
    }

    #[test]
    fn a_last_applied_spec_that_cannot_be_parsed_is_ignored() {
        let (mut spec, _) = samples::minimal_input();
        spec.status = Some(crate::crd::CatalogStatus {
            last_applied: Some(LastApplied { observed_generation: Some(1), spec: "{\"api\": 1}".into() }),
            ..crate::crd::CatalogStatus::default()
        });
        assert!(catalog(&spec).is_none());
    }
}
