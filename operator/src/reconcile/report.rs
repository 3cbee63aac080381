//! Writes the status, on every path, and only if it says something new.

use std::time::Duration;

use catalog_logging::Chain;
use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use kube::{
    Api, Resource, ResourceExt,
    api::{ListParams, Patch, PatchParams},
    runtime::events::{Event, EventType},
};
use serde_json::json;

use super::Context;
use crate::{
    apply::Overridden,
    crd::{Catalog, CatalogStatus},
    error::Error,
    live::{Live, pod_selector},
    status::{Ailment, Outcome, ailment, claims, status},
};

/// Most bytes of a note that the API server takes (events.k8s.io/v1, `note`).
const MAX_NOTE: usize = 1024;

/// Writes the status. How long the Catalog hasn't been ready and settled, if it isn't.
///
/// # Errors
/// If it cannot be written.
pub async fn report(
    catalog: &Catalog,
    context: &Context,
    namespace: &str,
    live: &Live,
    outcome: &Outcome,
) -> Result<Option<Duration>, Error> {
    let now = context.now();
    let mut report = status(catalog, live, outcome, None, now);
    if matches!(outcome, Outcome::Migrating { .. } | Outcome::Applied(_)) && unsettled_since(&report).is_some() {
        // Only then is it worth a call to know what is wrong.
        match pods(context, namespace, &catalog.name_any()).await {
            Ok(pods) => {
                // It is the reason why a pod isn't scheduled.
                let ailment = pending_claim(context, namespace, live).await.or_else(|| ailment(&pods));
                report = status(catalog, live, outcome, ailment.as_ref(), now);
            }
            // What is known is worth telling.
            Err(error) => tracing::warn!(error = %Chain(&error), "pods not listed; status has no pod issues"),
        }
    }
    if catalog.status.as_ref() != Some(&report) {
        write(catalog, context, namespace, &report).await?;
        context.tell_change(catalog, &report).await;
    }
    Ok(unsettled_since(&report).map(|since| now.duration_since(since).try_into().unwrap_or_default()))
}

async fn write(catalog: &Catalog, context: &Context, namespace: &str, status: &CatalogStatus) -> Result<(), Error> {
    let name = catalog.name_any();
    let api: Api<Catalog> = Api::namespaced(context.client.clone(), namespace);
    // What is absent now must go, too: RFC 7396 removes what is null.
    let CatalogStatus { observed_generation, conditions, replicas, version, url, last_applied } = status;
    let mut whole = json!({
        "observedGeneration": observed_generation,
        "conditions": conditions,
        "replicas": replicas,
        "version": version,
        "url": url,
    });
    // Otherwise left as it is: what was read of the Catalog may be older than the last write of the status.
    if catalog.status.as_ref().and_then(|before| before.last_applied.as_ref()) != last_applied.as_ref() {
        whole["lastApplied"] = json!(last_applied);
    }
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

async fn pending_claim(context: &Context, namespace: &str, live: &Live) -> Option<Ailment> {
    let api: Api<k8s_openapi::api::core::v1::Event> = Api::namespaced(context.client.clone(), namespace);
    let mut events = Vec::new();
    for uid in claims::unbound(live) {
        match api.list(&ListParams::default().fields(&format!("involvedObject.uid={uid}"))).await {
            Ok(list) => events.extend(list.items),
            Err(error) => tracing::warn!(error = %Chain(&error), "Events of a claim not listed; status has no claim issue"),
        }
    }
    claims::pending_claim(live, &events)
}

/// A rollout beside pods that work may be stuck as well.
fn unsettled_since(status: &CatalogStatus) -> Option<jiff::Timestamp> {
    let unsettled = status.conditions.iter().filter(|condition| match condition.type_.as_str() {
        "Ready" => condition.status != "True",
        "Progressing" => condition.status == "True",
        _ => false,
    });
    unsettled.map(|condition| condition.last_transition_time.0).min()
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
        // Events that differ in their note alone count as one that happened again.
        let object = ObjectReference {
            api_version: Some(resource.api_version),
            kind: Some(resource.kind),
            name: Some(name),
            namespace: catalog.namespace(),
            ..ObjectReference::default()
        };
        self.tell(catalog, EventType::Warning, "FieldsOverridden", note, Some(object)).await;
    }

    /// Tells that the Catalog has become ready, or what is wrong with it.
    async fn tell_change(&self, catalog: &Catalog, report: &CatalogStatus) {
        let told = [("Ready", EventType::Normal), ("Degraded", EventType::Warning)];
        for (kind, event) in told {
            let of = |status: &CatalogStatus| status.conditions.iter().find(|condition| condition.type_ == kind).cloned();
            let before = catalog.status.as_ref().and_then(of);
            let Some(now) = of(report).filter(|now| now.status == "True") else { continue };
            if before.is_none_or(|before| (&before.status, &before.reason) != (&now.status, &now.reason)) {
                self.tell(catalog, event, &now.reason, now.message, None).await;
            }
        }
        let incomplete =
            |status: &CatalogStatus| status.conditions.iter().find(|one| one.type_ == "Complete" && one.status != "True").cloned();
        let before = catalog.status.as_ref().and_then(incomplete);
        if let Some(now) = incomplete(report).filter(|now| before.is_none_or(|before| before.message != now.message)) {
            self.tell(catalog, EventType::Warning, &now.reason, now.message, None).await;
        }
    }

    /// Tells people something about a Catalog. That it couldn't be told is no reason to stop.
    async fn tell(&self, catalog: &Catalog, kind: EventType, reason: &str, mut note: String, secondary: Option<ObjectReference>) {
        note.truncate(note.floor_char_boundary(MAX_NOTE));
        let event = Event { type_: kind, reason: reason.into(), note: Some(note), action: "Reconcile".into(), secondary };
        if let Err(error) = self.recorder.publish(&event, &catalog.object_ref(&())).await {
            tracing::warn!(error = %Chain(&error), reason, "Event not written");
        }
    }
}
