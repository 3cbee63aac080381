//! Reports a Catalog that isn't one by its type. It is read and written without the type, which is what fails.

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
    status::unreadable::{REASON, conditions, unreadable},
};

/// Writes into the status of the Catalog why it cannot be read, if that is news, and into an Event and the log in any case.
///
/// # Errors
/// If the Catalog cannot be read, even without its type, or its status cannot be written.
pub async fn report_unreadable(guarded: &GuardedCatalog, context: &Context) -> Result<(), Error> {
    let name = guarded.name_any();
    let resource = ApiResource::erase::<Catalog>(&());
    let namespace = guarded.namespace().unwrap_or_default();
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), &namespace, &resource);
    let read = api.get_opt(&name).await.map_err(|source| Error::api("read", format!("Catalog {name}"), source))?;
    let Some(object) = read.filter(|object| object.metadata.deletion_timestamp.is_none()) else { return Ok(()) };
    // Corrected meanwhile: it is reconciled again.
    let Err(error) = serde_path_to_error::deserialize::<_, Catalog>(&serde_json::to_value(&object)?) else { return Ok(()) };
    let error = error.to_string();
    let report = unreadable(&object, &error, context.now());
    if report == conditions(&object) {
        return Ok(());
    }
    let note = report.first().map(|ready| ready.message.clone()).unwrap_or_default();
    let status = json!({"status": {"observedGeneration": object.metadata.generation, "conditions": report}});
    let written = api.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await;
    let rejected = match written.map_err(|source| Error::api("write the status of", format!("Catalog {name}"), source)) {
        Ok(_) => None,
        // A CEL rule of the field cannot be evaluated, and the API server evaluates them on a write of the status, too.
        Err(rejected) if rejected.is_rejected() => Some(rejected.to_string()),
        Err(other) => return Err(other),
    };
    // What cannot be written into the status is news each time.
    if rejected.is_none() || context.limits.allow(&object.uid().unwrap_or_default(), "StatusRejected") {
        tracing::error!(error, reason = rejected, "Catalog cannot be read; correct the field or upgrade the operator");
        context.publish_event(&guarded.object_ref(&()), EventType::Warning, REASON, note, None).await;
    }
    Ok(())
}
