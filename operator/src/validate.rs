//! Validates a spec against the objects that were read, and returns a plan or problems with field paths.
//!
//! The API server has already checked the rules of the CRD. Here are the checks that they cannot express: the content of Secrets,
//! the state of volumes, and values that need a parser.

mod auth;
mod check;
mod database;
mod installation;
mod mail;
mod messaging;
mod plan;
mod problem;
mod resources;
mod role_plan;
mod roles;
mod rotation;
mod shop;
mod size;
mod volume;
mod worker;

#[cfg(test)]
mod tests;

use crate::{
    crd::{Catalog, DeletionPolicy},
    observed::Observed,
};
use check::Check;

pub use database::LOGIN_ROLES;
pub use installation::ABANDON;
pub use plan::{
    ApiScale, AuthPlan, DatabasePlan, EmbeddedDatabasePlan, EmbeddedMessagingPlan, ExternalDatabasePlan, ExternalMessagingPlan,
    InstallationPlan, MailPlan, MessagingPlan, NatsServers, Plan, PostgresAddress, Release, RolePlan, SecretKey, Shop, Skipped, Superuser,
    Volume, WorkerScale,
};
pub use problem::{Problem, Problems, Reason};
pub use rotation::{ROTATE, ROTATE_DATABASE_PASSWORD, requested_database_rotation, scheduled_rotations};
pub use shop::version;
pub use worker::{WaitingRows, WorkerRole};

/// Checks a Catalog against the objects that were read.
///
/// Generated Secrets that don't exist yet are not a problem: [`crate::secrets::missing`] returns them. After they were created, the
/// plan must be made again from new observations.
///
/// # Errors
/// Returns all problems.
pub fn validate(catalog: &Catalog, observed: &Observed) -> Result<Plan, Problems> {
    let mut check = Check::against(observed);
    if catalog.metadata.uid.is_none() {
        check.report("metadata.uid", Reason::InvalidValue, "must be set: read the Catalog from the API server".into());
    }
    accepted(plan(catalog, check))
}

/// Returns the plan of a spec that was accepted before, even if an object that it references is missing or invalid now.
#[must_use]
pub fn plan_to_restore(catalog: &Catalog, observed: &Observed) -> Option<Plan> {
    plan(catalog, Check::against(observed)).0
}

/// Checks a Catalog without a cluster. All Secrets are assumed to exist and to be valid; `keda` says whether KEDA is installed.
///
/// # Errors
/// Returns all problems.
pub fn validate_offline(catalog: &Catalog, keda: bool) -> Result<Plan, Problems> {
    accepted(plan(catalog, Check::offline(keda)))
}

fn accepted((plan, problems): (Option<Plan>, Vec<Problem>)) -> Result<Plan, Problems> {
    match plan {
        Some(plan) if problems.is_empty() => Ok(plan),
        _ => Err(Problems(problems)),
    }
}

/// Returns all problems, and the plan unless a problem prevents it.
fn plan(catalog: &Catalog, mut check: Check<'_>) -> (Option<Plan>, Vec<Problem>) {
    let spec = &catalog.spec;
    size::check(catalog, &mut check);
    let shop = shop::check(catalog, &mut check);
    let release = shop::check_image(&spec.image, &mut check);
    let currency = shop::check_currency(&spec.currency, &mut check);
    let database = database::check(catalog, &shop, &mut check);
    let installation = installation::check(catalog, database.as_ref(), &mut check);
    let messaging = messaging::check(&shop, &spec.messaging, &mut check);
    let mail = mail::check(&spec.mail, &mut check);
    let auth = auth::check(catalog, &shop, &mut check);
    let api = roles::check_api(&spec.api, &mut check);
    let notifier = roles::check_worker(WorkerRole::Notifier, &spec.notifier, database.as_ref(), &mut check);
    let tracker = roles::check_worker(WorkerRole::Tracker, &spec.tracker, database.as_ref(), &mut check);
    let fulfiller = roles::check_worker(WorkerRole::Fulfiller, &spec.fulfiller, database.as_ref(), &mut check);
    let assemble = || {
        Some(Plan {
            public_url: format!("http://{}.{}.svc", shop.named("api"), shop.namespace),
            events_prefix: shop::events_prefix(&shop),
            retain: spec.deletion_policy == DeletionPolicy::Retain,
            digests: check.digests(),
            existing_secrets: check.generated_uids(),
            release: release?,
            currency: currency?,
            database: database?,
            installation,
            messaging: messaging?,
            mail: mail?,
            auth: auth?,
            api: api?,
            notifier: notifier?,
            tracker: tracker?,
            fulfiller: fulfiller?,
            skipped: check.skipped.clone(),
            shop,
        })
    };
    (assemble(), check.problems)
}
