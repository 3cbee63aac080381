//! Reads the installation of the database from its claim and from the pods of the migration Job.

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::json;

use super::Context;
use crate::{
    apply::Apply,
    crd::Catalog,
    error::Error,
    installation::{after_migration, expected_installation, rejected, reported, volume_lost},
    kinds::Kind,
    live::{INSTANCE, Live, MANAGED_BY, OPERATOR, claims::database_claim_name, conditions::has_condition, managers::MANAGER},
    validate::{DatabasePlan, Plan},
};

/// Label of a pod with the name of its Job.
const JOB_NAME: &str = "batch.kubernetes.io/job-name";

/// Restores the labels of the database's claim if they were removed, or the claim was restored without them.
///
/// # Errors
/// If the API server is unavailable.
pub async fn relabel_claim(catalog: &Catalog, context: &Context, namespace: &str, live: &mut Live) -> Result<(), Error> {
    let name = database_claim_name(&catalog.name_any());
    let is_known = catalog.status.as_ref().and_then(|status| status.database.as_ref()).is_some_and(|known| known.claim_uid.is_some());
    if !is_known || catalog.spec.database.embedded.is_none() || live.get(Kind::PersistentVolumeClaim, &name).is_some() {
        return Ok(());
    }
    let claims: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), namespace, &Kind::PersistentVolumeClaim.resource());
    let object = || format!("PersistentVolumeClaim {name}");
    let Some(found) = claims.get_opt(&name).await.map_err(|source| Error::api("get", object(), source))? else { return Ok(()) };
    let labels = json!({"metadata": {
        "labels": {INSTANCE: catalog.name_any(), MANAGED_BY: OPERATOR}, "resourceVersion": found.resource_version(),
    }});
    let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
    let labelled = claims.patch(&name, &params, &Patch::Merge(labels)).await.map_err(|source| Error::api("label", object(), source))?;
    live.put(Kind::PersistentVolumeClaim, labelled);
    Ok(())
}

/// Records the uid of the embedded database's claim after it was applied, and whether its volume is lost.
pub fn record_claim(plan: &mut Plan, live: &mut Live) {
    live.database.problem = volume_lost(plan);
    let DatabasePlan::Embedded(database) = &plan.database else { return };
    if let Some(claim) = live.get(Kind::PersistentVolumeClaim, &database.volume.claim) {
        plan.installation.claim_uid = claim.uid();
    }
}

/// Reads the installation that the migration `job` has reported, unless the status has it already, or why it rejects the database.
///
/// # Errors
/// If its pods cannot be listed.
pub async fn read_migration_report(
    catalog: &Catalog,
    context: &Context,
    plan: &Plan,
    job: &str,
    apply: &mut Apply<'_>,
) -> Result<(), Error> {
    let Apply { namespace, live, .. } = apply;
    let Some(found) = live.get(Kind::Job, job) else { return Ok(()) };
    let (is_complete, expected) = (has_condition(found, "Complete"), expected_installation(found));
    let known = catalog.status.as_ref().and_then(|status| status.database.as_ref());
    let is_new = known.and_then(|known| known.migration.as_deref()) != Some(job);
    if !(is_complete && is_new || !is_complete && expected.is_some()) {
        return Ok(());
    }
    let pods = context.list_pods(namespace, &catalog.name_any()).await?;
    let is_of_job = |pod: &&Pod| pod.labels().get(JOB_NAME).is_some_and(|name| name == job);
    let of_job: Vec<_> = pods.iter().filter(is_of_job).cloned().collect();
    if is_complete {
        live.database.status = after_migration(known, plan, job, || reported(&of_job));
    } else if let Some(expected) = expected {
        live.database.problem = rejected(&of_job, &expected).or(live.database.problem.take());
    }
    live.pods = Some(pods);
    Ok(())
}
