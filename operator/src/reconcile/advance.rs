//! From a spec to its objects: validate, build, apply.

use kube::ResourceExt;

use super::{
    Context,
    installation::{read_migration_report, record_claim},
};
use crate::{
    apply::{Apply, Change},
    build::{Objects, build, migration},
    crd::Catalog,
    dereference::{Referenced, observed},
    error::Error,
    kinds::Kind,
    live::{conditions::has_condition, deployment_names, managers::data_edited_at},
    secrets,
    status::Outcome,
    validate::{DatabasePlan, Plan, validate},
};

/// Validates, builds and applies `catalog`.
///
/// # Errors
/// If the API server rejects a request or is unavailable, or a name is taken.
pub async fn advance(catalog: &Catalog, referenced: &Referenced, apply: &mut Apply<'_>, context: &Context) -> Result<Outcome, Error> {
    let mut plan = match validate(catalog, &observed(apply.live, referenced)) {
        Ok(plan) => plan,
        Err(problems) => return Ok(Outcome::Rejected(problems, None)),
    };
    if generate(&plan, referenced, apply, context).await? {
        // The objects contain hashes of the generated Secrets, so the plan is made again.
        plan = match validate(catalog, &observed(apply.live, referenced)) {
            Ok(plan) => plan,
            Err(problems) => return Ok(Outcome::Rejected(problems, None)),
        };
    }
    let objects = build(&plan);
    let is_done = apply_in_order(&objects, &mut plan, apply).await?;
    let job = migration::job(&plan).name_any();
    read_migration_report(catalog, context, &plan, &job, apply).await?;
    let skipped = plan.skipped.into_iter().chain(apply.skipped()).collect();
    Ok(if is_done { Outcome::Applied(skipped) } else { Outcome::Migrating { job, skipped } })
}

/// Creates missing generated Secrets, completes those that lack values, and rotates signing keys and database passwords that are due. Returns whether any changed.
async fn generate(plan: &Plan, referenced: &Referenced, apply: &mut Apply<'_>, context: &Context) -> Result<bool, Error> {
    let login_changed = change_login(plan, apply, context).await?;
    let missing = secrets::missing(plan, &observed(apply.live, referenced));
    for secret_spec in &missing {
        let made = secret_spec.generate(context.now(), &mut rand::rng());
        apply.create(&made).await?;
    }
    let completed = secrets::completed(plan, apply.live, context.now(), &mut rand::rng());
    for (name, data) in &completed {
        apply.replace(name, serde_json::to_value(data)?, Change::completed(name)).await?;
    }
    let name = &plan.auth.signing_keys;
    let data = apply.live.secret(name).map(|secret| secret.data.unwrap_or_default());
    let edited_at = apply.live.get(Kind::Secret, name).and_then(data_edited_at);
    let keys_changed = data.and_then(|before| {
        let after = secrets::rotate_signing_keys(plan, &before, edited_at, context.now(), &mut rand::rng())?;
        Some((before, after))
    });
    if let Some((before, after)) = &keys_changed {
        apply.replace(name, serde_json::to_value(after)?, Change::signing_keys(name, before, after)).await?;
    }
    Ok(!missing.is_empty() || !completed.is_empty() || keys_changed.is_some() || login_changed)
}

/// Rotates passwords of the embedded database, adds missing keys of its Secret, or removes old passwords. Returns whether any changed.
async fn change_login(plan: &Plan, apply: &mut Apply<'_>, context: &Context) -> Result<bool, Error> {
    let DatabasePlan::Embedded(database) = &plan.database else { return Ok(false) };
    let name = &database.password.secret;
    let Some(secret) = apply.live.secret(name) else { return Ok(false) };
    let in_use = secrets::login_in_use(apply.live, deployment_names(apply.name));
    let data = secret.data.unwrap_or_default();
    let Some((data, change)) = secrets::update_login(database, &data, in_use.as_ref(), context.now(), &mut rand::rng()) else {
        return Ok(false);
    };
    apply.replace(name, serde_json::to_value(data)?, Change::database_login(name, &change)).await?;
    Ok(true)
}

/// Applies prerequisites and migration and, if the migration has succeeded, the workloads. Returns whether it has.
async fn apply_in_order(objects: &Objects, plan: &mut Plan, apply: &mut Apply<'_>) -> Result<bool, Error> {
    // The migration Job is built again, as its name depends on the claim, which may be new.
    let Objects { prerequisites, migration: _, workloads } = objects;
    apply.prerequisites(prerequisites).await?;
    record_claim(plan, apply.live);
    let migration = migration::job(plan);
    if plan.retain {
        apply.orphan().await?;
    }
    let job = migration.name_any();
    apply.supersede_migrations(&job).await?;
    apply.migration(&migration).await?;
    let job = apply.live.get(Kind::Job, &job);
    if !job.is_some_and(|job| has_condition(job, "Complete")) {
        return Ok(false);
    }
    apply.workloads(workloads).await?;
    apply.prune().await?;
    Ok(true)
}
