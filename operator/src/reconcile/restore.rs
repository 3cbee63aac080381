//! Restores objects from the last applied spec while a newer spec cannot be applied.

use super::{Context, advance::advance};
use crate::{
    apply::Apply,
    build::build,
    crd::Catalog,
    dereference::{Referenced, observed},
    error::Error,
    secrets::login_to_restore,
    status::{Outcome, last_applied},
    validate::{DatabasePlan, plan_to_restore},
};

/// Applies the last applied spec while the current spec is rejected. If the last applied spec cannot be applied either, for example
/// because a Secret is missing now, its objects are restored.
///
/// # Errors
/// If the API server rejects a request or is unavailable, or a name is taken.
pub async fn restore_after_rejection(
    catalog: &Catalog,
    referenced: &Referenced,
    apply: &mut Apply<'_>,
    context: &Context,
) -> Result<(), Error> {
    let Some(last) = last_applied::catalog(catalog) else { return Ok(()) };
    let referenced = referenced.with(apply.client, apply.namespace, &last).await?;
    match advance(&last, &referenced, apply, context).await {
        Ok(Outcome::Applied(_) | Outcome::Paused) => Ok(()),
        Ok(Outcome::Rejected(..) | Outcome::Migrating { .. }) => restore(&last, &referenced, apply).await,
        Ok(Outcome::Failed(error)) | Err(error) if error.concerns_one_object() => restore(&last, &referenced, apply).await.and(Err(error)),
        Ok(Outcome::Failed(error)) | Err(error) => Err(error),
    }
}

/// Restores the objects of the last applied spec that the current spec hasn't applied yet, while its migration hasn't succeeded or one of
/// its objects is rejected.
///
/// # Errors
/// If the API server rejects a request or is unavailable, or a name is taken.
pub async fn restore_unapplied_objects(catalog: &Catalog, referenced: &Referenced, apply: &mut Apply<'_>) -> Result<(), Error> {
    let Some(last) = last_applied::catalog(catalog) else { return Ok(()) };
    let referenced = referenced.with(apply.client, apply.namespace, &last).await?;
    restore(&last, &referenced, apply).await
}

/// Restores deleted and edited objects of the last applied spec.
async fn restore(last: &Catalog, referenced: &Referenced, apply: &mut Apply<'_>) -> Result<(), Error> {
    let Some(mut plan) = plan_to_restore(last, &observed(apply.live, referenced)) else { return Ok(()) };
    if let DatabasePlan::Embedded(database) = &mut plan.database {
        let data = apply.live.secret(&database.password.secret).and_then(|secret| secret.data).unwrap_or_default();
        database.login = login_to_restore(apply.live, &data, &database.login);
        database.password.key.clone_from(&database.login);
    }
    apply.restore(&build(&plan)).await
}
