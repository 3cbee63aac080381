//! What was declared and what was read become a checked plan, or named problems.
//!
//! The API server has refused what the rules of the definition can see. Here is what they cannot: what
//! is in Secrets and on volumes, and what needs a parser. Names of fields are those of the resource.

mod auth;
mod check;
mod database;
mod installation;
mod mail;
mod messaging;
mod plan;
mod problem;
mod resources;
mod roles;
mod rotation;
mod scale;
mod shop;
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
pub use rotation::{ROTATE, ROTATE_DATABASE_PASSWORD};
pub use shop::version;
pub use worker::{WaitingRows, WorkerRole};

/// Checks what was declared against what was read.
///
/// Generated Secrets that don't exist yet are no problem: [`crate::secrets::missing`] tells of them. When
/// they have been made, what is observed has changed, so that a new plan is needed to build from.
///
/// # Errors
/// Every problem found.
pub fn validate(catalog: &Catalog, observed: &Observed) -> Result<Plan, Problems> {
    let mut check = Check::against(observed);
    if catalog.metadata.uid.is_none() {
        check.report("metadata.uid", Reason::InvalidValue, "the Catalog has not been stored yet".into());
    }
    accepted(plan(catalog, check))
}

/// The plan of a spec that was accepted before, even if something that it refers to is missing or invalid now.
#[must_use]
pub fn plan_to_restore(catalog: &Catalog, observed: &Observed) -> Option<Plan> {
    plan(catalog, Check::against(observed)).0
}

/// Checks what was declared alone, as if every Secret were there and right, and KEDA if `keda`.
///
/// # Errors
/// Every problem found.
pub fn validate_unseen(catalog: &Catalog, keda: bool) -> Result<Plan, Problems> {
    accepted(plan(catalog, Check::unseen(keda)))
}

fn accepted((plan, problems): (Option<Plan>, Vec<Problem>)) -> Result<Plan, Problems> {
    match plan {
        Some(plan) if problems.is_empty() => Ok(plan),
        _ => Err(Problems(problems)),
    }
}

/// The plan, if enough is known to make one, and every problem found.
fn plan(catalog: &Catalog, mut check: Check<'_>) -> (Option<Plan>, Vec<Problem>) {
    let spec = &catalog.spec;
    let shop = shop::check(catalog, &mut check);
    let release = shop::release(&spec.image, &mut check);
    let currency = shop::currency(&spec.currency, &mut check);
    let database = database::check(catalog, &shop, &mut check);
    let installation = installation::check(catalog, database.as_ref(), &check);
    let messaging = messaging::check(&shop, &spec.messaging, &mut check);
    let mail = mail::check(&spec.mail, &mut check);
    let auth = auth::check(catalog, &shop, &mut check);
    let api = roles::api(&spec.api, &mut check);
    let notifier = roles::worker(WorkerRole::Notifier, &spec.notifier, database.as_ref(), &mut check);
    let tracker = roles::worker(WorkerRole::Tracker, &spec.tracker, database.as_ref(), &mut check);
    let fulfiller = roles::worker(WorkerRole::Fulfiller, &spec.fulfiller, database.as_ref(), &mut check);
    let checked = || {
        Some(Plan {
            public_url: format!("http://{}.{}.svc", shop.named("api"), shop.namespace),
            events_prefix: shop::events_prefix(&shop),
            retain: spec.deletion_policy == DeletionPolicy::Retain,
            digests: check.digests(),
            kept_secrets: check.generated_uids(),
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
    (checked(), check.problems)
}
