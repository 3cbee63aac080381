//! Determines which installation the database must be, and whether its volume was lost.

use super::{
    check::{Check, quoted},
    plan::{DatabasePlan, InstallationPlan},
};
use crate::crd::Catalog;

/// Annotation that lets a Catalog abandon an installation. Its value is the id of that installation, or the uid of the lost claim. It
/// takes effect once, because the status contains another id afterwards.
pub const ABANDON: &str = "catalog.rs/abandon-installation";

/// Determines the expected installation from the status of the Catalog and the objects that were read.
pub fn check(catalog: &Catalog, database: Option<&DatabasePlan>, check: &mut Check<'_>) -> InstallationPlan {
    let known = catalog.status.as_ref().and_then(|status| status.database.clone()).unwrap_or_default();
    let abandoned = catalog.metadata.annotations.as_ref().and_then(|annotations| annotations.get(ABANDON)).cloned();
    let is_abandoned = abandoned.is_some() && (abandoned == known.installation_id || abandoned == known.claim_uid);
    if let Some(value) = abandoned.as_ref().filter(|_| check.is_observed() && !is_abandoned && abandoned != known.abandoned) {
        let value = quoted(value);
        let known = match (&known.installation_id, &known.claim_uid) {
            (None, None) => "status.database has no installation".to_owned(),
            (Some(id), _) => format!("{value} isn't the installation id {id}"),
            (None, Some(uid)) => format!("{value} isn't the uid {uid} of the claim"),
        };
        check.skip(format!("metadata.annotations[{ABANDON}]"), format!("ignored, because {known}; correct or remove the annotation"));
    }
    let claim = match database {
        Some(DatabasePlan::Embedded(embedded)) => Some(check.claim(&embedded.volume.claim)),
        Some(DatabasePlan::External(_)) | None => None,
    };
    let lost_claim = known.claim_uid.filter(|_| check.is_observed() && claim == Some(None) && !is_abandoned);
    InstallationPlan {
        claim_uid: claim.flatten().and_then(|claim| claim.uid.clone()).or_else(|| lost_claim.clone()),
        lost_claim,
        expected: known.installation_id.filter(|_| !is_abandoned),
        abandoned,
        is_abandoned,
        migrations: check.migrations(),
    }
}

#[cfg(test)]
mod tests {
    use super::ABANDON;
    use crate::{
        build::samples,
        crd::{CatalogStatus, DatabaseStatus},
        validate::validate,
    };

    #[test]
    fn a_value_that_abandons_nothing_is_skipped_and_one_that_took_effect_is_not() {
        let skipped = |value: &str, known: DatabaseStatus| {
            let (mut catalog, observed) = samples::minimal_input();
            catalog.status = Some(CatalogStatus { database: Some(known), ..CatalogStatus::default() });
            catalog.metadata.annotations = Some([(ABANDON.to_owned(), value.to_owned())].into());
            let skipped = validate(&catalog, &observed).unwrap().skipped.into_iter();
            skipped.filter(|skipped| skipped.path.contains(ABANDON)).map(|skipped| skipped.message).collect::<Vec<_>>()
        };
        let known = |id: Option<&str>, uid: Option<&str>| DatabaseStatus {
            installation_id: id.map(str::to_owned),
            claim_uid: uid.map(str::to_owned),
            ..DatabaseStatus::default()
        };
        assert_eq!(skipped("a", known(Some("a"), Some("u"))), Vec::<String>::new());
        assert_eq!(skipped("u", known(Some("a"), Some("u"))), Vec::<String>::new());
        let ignored = |because: &str| vec![format!("ignored, because {because}; correct or remove the annotation")];
        assert_eq!(skipped("bogus", known(Some("a"), Some("u"))), ignored("\"bogus\" isn't the installation id a"));
        assert_eq!(skipped("bogus", known(None, Some("u"))), ignored("\"bogus\" isn't the uid u of the claim"));
        assert_eq!(skipped("bogus", DatabaseStatus::default()), ignored("status.database has no installation"));
        let long = skipped(&"é".repeat(1000), known(Some("a"), None));
        assert_eq!(long, ignored(&format!("{:?} isn't the installation id a", "é".repeat(100))));
        let done = DatabaseStatus { abandoned: Some("a".into()), ..known(Some("b"), Some("u")) };
        assert_eq!(skipped("a", done), Vec::<String>::new(), "it took effect");
    }
}
