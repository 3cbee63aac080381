//! Determines which installation the database must be, and whether its volume was lost.

use super::{
    check::Check,
    plan::{DatabasePlan, InstallationPlan},
};
use crate::crd::Catalog;

/// Annotation that lets a Catalog abandon an installation. Its value is the id of that installation, or the uid of the lost claim. It
/// takes effect once, because the status contains another id afterwards.
pub const ABANDON: &str = "catalog.rs/abandon-installation";

/// Determines the expected installation from the status of the Catalog and the objects that were read.
pub fn check(catalog: &Catalog, database: Option<&DatabasePlan>, check: &Check<'_>) -> InstallationPlan {
    let known = catalog.status.as_ref().and_then(|status| status.database.clone()).unwrap_or_default();
    let abandoned = catalog.metadata.annotations.as_ref().and_then(|annotations| annotations.get(ABANDON)).cloned();
    let is_abandoned = abandoned.is_some() && (abandoned == known.installation_id || abandoned == known.claim_uid);
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
