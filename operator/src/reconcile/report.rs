//! Writes the status, on every path, and only if it says something new.

use catalog_logging::Chain;
use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use kube::{
    Api, Resource, ResourceExt,
    api::{ListParams, Patch, PatchParams},
    runtime::events::{Event, EventType},
};
use serde_json::json;

use super::{
    Context,
    notices::{Notice, notices},
    pause::unsettled,
};
use crate::{
    apply::{Change, Overridden},
    crd::{Catalog, CatalogStatus},
    error::Error,
    kinds::Kind,
    live::{Live, pod_selector},
    status::{Outcome, ailment, status},
};

/// Most bytes of a note that the API server takes (events.k8s.io/v1, `note`).
const MAX_NOTE: usize = 1024;

/// Writes the status, and returns it.
///
/// # Errors
/// If it cannot be written.
pub async fn report(catalog: &Catalog, context: &Context, namespace: &str, live: &Live, outcome: &Outcome) -> Result<CatalogStatus, Error> {
    let now = context.now();
    let mut report = status(catalog, live, outcome, None, now);
    if matches!(outcome, Outcome::Migrating { .. } | Outcome::Applied(_)) && unsettled(&report).next().is_some() {
        // Only then is it worth a call to know what is wrong.
        match pods(context, namespace, &catalog.name_any()).await {
            Ok(pods) => report = status(catalog, live, outcome, ailment(&pods).as_ref(), now),
            // What is known is worth telling.
            Err(error) => tracing::warn!(error = %Chain(&error), "pods not listed; status has no pod issues"),
        }
    }
    if catalog.status.as_ref() != Some(&report) {
        write(catalog, context, namespace, &report).await?;
        context.publish_notices(catalog, &report).await;
    }
    Ok(report)
}

async fn write(catalog: &Catalog, context: &Context, namespace: &str, status: &CatalogStatus) -> Result<(), Error> {
    let name = catalog.name_any();
    let api: Api<Catalog> = Api::namespaced(context.client.clone(), namespace);
    // What is absent now must go, too: RFC 7396 removes what is null.
    let CatalogStatus { observed_generation, conditions, replicas, version, url } = status;
    let whole = json!({
        "observedGeneration": observed_generation,
        "conditions": conditions,
        "replicas": replicas,
        "version": version,
        "url": url,
    });
    match api.patch_status(&name, &PatchParams::default(), &Patch::Merge(json!({"status": whole}))).await {
        Ok(_) => Ok(()),
        // Deleted meanwhile.
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(source) => Err(Error::api("write the status of", format!("Catalog {name}"), source)),
    }
}

async fn pods(context: &Context, namespace: &str, name: &str) -> Result<Vec<Pod>, Error> {
    let api: Api<Pod> = Api::namespaced(context.client.clone(), namespace);
    let list = api.list(&ListParams::default().labels(&pod_selector(name))).await;
    Ok(list.map_err(|source| Error::api("list", "pods", source))?.items)
}

impl Context {
    /// Tells that fields of another manager were overridden.
    pub async fn tell_overridden(&self, catalog: &Catalog, overridden: Overridden) {
        let Overridden { kind, name, managers } = overridden;
        let resource = kind.resource();
        let note = format!(
            "{} {name} is as the Catalog declares again: {} had changed it. Edit the Catalog instead.",
            resource.kind,
            managers.join(", ")
        );
        let object = reference(catalog, kind, name);
        self.tell(catalog, EventType::Warning, "FieldsOverridden", note, Some(object)).await;
    }

    /// Publishes the Events about a change of the status.
    async fn publish_notices(&self, catalog: &Catalog, report: &CatalogStatus) {
        for Notice { kind, reason, note } in notices(catalog.status.as_ref(), report, self.now()) {
            self.tell(catalog, kind, &reason, note, None).await;
        }
    }

    /// Publishes the Event about an object that was created, patched or deleted, if there is one.
    pub async fn publish_change(&self, catalog: &Catalog, change: Change) {
        let Change { kind, name, event: Some((reason, note)), .. } = change else { return };
        self.tell(catalog, EventType::Normal, reason, note, Some(reference(catalog, kind, name))).await;
    }

    /// Tells people something about a Catalog. That it couldn't be told is no reason to stop.
    async fn tell(&self, catalog: &Catalog, kind: EventType, reason: &str, mut note: String, secondary: Option<ObjectReference>) {
        if !self.limits.allow(&catalog.uid().unwrap_or_default(), reason) {
            return tracing::debug!(reason, "Event not written; too many of this reason");
        }
        note.truncate(note.floor_char_boundary(MAX_NOTE));
        let event = Event { type_: kind, reason: reason.into(), note: Some(note), action: "Reconcile".into(), secondary };
        if let Err(error) = self.recorder.publish(&event, &catalog.object_ref(&())).await {
            tracing::warn!(error = %Chain(&error), reason, "Event not written");
        }
    }
}

/// An object of the Catalog, as the second object of an Event: Events that differ in their note alone count as one that happened
/// again.
fn reference(catalog: &Catalog, kind: Kind, name: String) -> ObjectReference {
    let resource = kind.resource();
    ObjectReference {
        api_version: Some(resource.api_version),
        kind: Some(resource.kind),
        name: Some(name),
        namespace: catalog.namespace(),
        ..ObjectReference::default()
    }
}
