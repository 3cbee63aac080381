//! Reports a Catalog that cannot be deserialised. It is handled as a `DynamicObject`, because deserialising it as `Catalog` fails.

use kube::{
    Api, Resource, ResourceExt,
    api::{DynamicObject, Patch, PatchParams},
    core::ApiResource,
    runtime::events::EventType,
};
use serde_json::json;

use super::Context;
use crate::{
    crd::{Catalog, GuardedCatalog},
    error::Error,
    status::{
        UNREADABLE,
        unreadable::{conditions, unreadable_conditions},
    },
};

/// Reports in the status, an Event and the log why the Catalog cannot be deserialised, unless the status has this report already. If the
/// API server rejects the status, Event and log are rate-limited.
///
/// # Errors
/// If the Catalog cannot be read, or its status cannot be written for another reason.
pub async fn report_unreadable(guarded: &GuardedCatalog, context: &Context) -> Result<(), Error> {
    let name = guarded.name_any();
    let resource = ApiResource::erase::<Catalog>(&());
    let namespace = guarded.namespace().unwrap_or_default();
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), &namespace, &resource);
    let read = api.get_opt(&name).await.map_err(|source| Error::api("read", format!("Catalog {name}"), source))?;
    let Some(object) = read.filter(|object| object.metadata.deletion_timestamp.is_none()) else { return Ok(()) };
    // If it was corrected in the meantime, the change triggers another reconcile.
    let Err(error) = serde_path_to_error::deserialize::<_, Catalog>(&serde_json::to_value(&object)?) else { return Ok(()) };
    let error = error.to_string();
    let report = unreadable_conditions(&object, &error, context.now());
    if report == conditions(&object) {
        return Ok(());
    }
    let note = report.first().map(|ready| ready.message.clone()).unwrap_or_default();
    let status = json!({"status": {"observedGeneration": object.metadata.generation, "conditions": report}});
    let written = api.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await;
    let rejected = match written.map_err(|source| Error::api("write the status of", format!("Catalog {name}"), source)) {
        Ok(_) => None,
        // The API server evaluates CEL rules also when the status is written, and cannot evaluate that of the invalid field.
        Err(rejected) if rejected.is_rejected() => Some(rejected.to_string()),
        Err(other) => return Err(other),
    };
    // Without a stored status every attempt looks new, so the report is rate-limited.
    if rejected.is_none() || context.limits.allow(&object.uid().unwrap_or_default(), "StatusRejected") {
        tracing::error!(error, reason = rejected, "Catalog cannot be read; correct the field or upgrade the operator");
        context.publish_event(&guarded.object_ref(&()), EventType::Warning, UNREADABLE, note, None).await;
    }
    Ok(())
}
