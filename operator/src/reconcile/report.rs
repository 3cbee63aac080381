//! Writes the status, on every path, and only if it says something new.

use std::time::Duration;

use catalog_logging::Chain;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use serde_json::json;

use super::{
    Context,
    notices::{Notice, notices},
};
use crate::{
    apply::Change,
    crd::{Catalog, CatalogStatus, DatabaseStatus},
    error::Error,
    kinds::Kind,
    live::Live,
    secrets,
    status::{Issues, Outcome, observed_at, status},
};

/// Most bytes of a note that the API server takes (events.k8s.io/v1, `note`).
const MAX_NOTE: usize = 1024;

/// Until pods that could not be listed are listed again.
const UNKNOWN: Duration = Duration::from_secs(10);

/// What was reported.
pub struct Reported {
    /// The status as it is written.
    pub status: CatalogStatus,
    /// Until time alone changes something.
    pub until_change: Option<Duration>,
}

/// Writes the status.
///
/// # Errors
/// If it cannot be written.
pub async fn report(catalog: &Catalog, context: &Context, namespace: &str, live: &Live, outcome: &Outcome) -> Result<Reported, Error> {
    let now = context.now();
    let issues = if live.is_complete() {
        // Also of a Catalog that is ready: a container that fails again and again is ready in between.
        let found = context.diagnose(namespace, &catalog.name_any(), live, now).await;
        found.inspect_err(|error| tracing::warn!(error = %Chain(error), "pods not listed; status has no pod issues")).ok()
    } else {
        None
    };
    let report = status(catalog, live, outcome, issues.as_ref(), now);
    if catalog.status.as_ref() != Some(&report) {
        write(catalog, context, namespace, &report).await?;
        context.publish_notices(catalog, &report).await;
    }
    let until = |time: jiff::Timestamp| time.duration_since(now).try_into().unwrap_or_default();
    let retires_at = live.secret(&format!("{}-postgres", catalog.name_any())).and_then(|secret| {
        let in_use = secrets::login_in_use(live);
        secrets::retires_at(&secret.data.unwrap_or_default(), in_use.as_deref()).filter(|at| *at > now)
    });
    let changes_at = |issues: Issues| issues.changes_at.into_iter().chain(observed_at(live, now)).chain(retires_at).min();
    let until_change = issues.map_or(Some(UNKNOWN), |issues| changes_at(issues).map(until));
    Ok(Reported { status: report, until_change })
}

async fn write(catalog: &Catalog, context: &Context, namespace: &str, status: &CatalogStatus) -> Result<(), Error> {
    let name = catalog.name_any();
    let api: Api<Catalog> = Api::namespaced(context.client.clone(), namespace);
    // What is absent now must go, too: RFC 7396 removes what is null.
    let CatalogStatus { observed_generation, conditions, replicas, version, database, messaging, url, last_applied } = status;
    let mut whole = json!({
        "observedGeneration": observed_generation,
        "conditions": conditions,
        "replicas": replicas,
        "version": version,
        "url": url,
    });
    // Otherwise left as they are: what was read of the Catalog may be older than the last write of the status.
    let before = catalog.status.as_ref();
    if before.and_then(|before| before.last_applied.as_ref()) != last_applied.as_ref() {
        whole["lastApplied"] = json!(last_applied);
    }
    if before.and_then(|before| before.messaging.as_ref()) != messaging.as_ref() {
        whole["messaging"] = json!(messaging);
    }
    if before.and_then(|before| before.database.as_ref()) != database.as_ref() {
        whole["database"] = json!(database.as_ref().map(|database| {
            let DatabaseStatus { installation_id, claim_uid, migration } = database;
            json!({"installationId": installation_id, "claimUid": claim_uid, "migration": migration})
        }));
    }
    match api.patch_status(&name, &PatchParams::default(), &Patch::Merge(json!({"status": whole}))).await {
        Ok(_) => Ok(()),
        // Deleted meanwhile.
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(source) => Err(Error::api("write the status of", format!("Catalog {name}"), source)),
    }
}

impl Context {
    /// Publishes the Events about a change of the status.
    async fn publish_notices(&self, catalog: &Catalog, report: &CatalogStatus) {
        for Notice { kind, reason, note } in notices(catalog.status.as_ref(), report, self.now()) {
            self.tell(catalog, kind, &reason, note, None).await;
        }
    }

    /// Publishes the Events about an object that was created, patched or deleted, if there are any.
    pub async fn publish_change(&self, catalog: &Catalog, change: Change) {
        let Change { kind, name, event, overridden, .. } = change;
        let object = reference(catalog, kind, name.clone());
        if let Some((reason, note)) = event {
            self.tell(catalog, EventType::Normal, reason, note, Some(object.clone())).await;
        }
        if !overridden.is_empty() {
            let (kind, managers) = (kind.resource().kind, overridden.join(", "));
            let note = format!("{kind} {name} is as the Catalog declares again: {managers} had changed it. Edit the Catalog instead.");
            self.tell(catalog, EventType::Warning, "FieldsOverridden", note, Some(object)).await;
        }
    }

    /// Tells people something about a Catalog. That it couldn't be told is no reason to stop.
    async fn tell(&self, catalog: &Catalog, kind: EventType, reason: &str, mut note: String, secondary: Option<ObjectReference>) {
        if !self.limits.allow(&catalog.uid().unwrap_or_default(), reason) {
            return tracing::debug!(reason, "Event not written; too many of this reason");
        }
        note.truncate(note.floor_char_boundary(MAX_NOTE));
        let event = Event { type_: kind, reason: reason.into(), note: Some(note), action: "Reconcile".into(), secondary };
        // A recorder that is kept counts an Event with another note as one that happened again, and the API server keeps the first note.
        let reporter = Reporter { controller: "catalog-operator".into(), instance: None };
        if let Err(error) = Recorder::new(self.client.clone(), reporter).publish(&event, &catalog.object_ref(&())).await {
            tracing::warn!(error = %Chain(&error), reason, "Event not written");
        }
    }
}

/// An object of the Catalog, as the second object of an Event.
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
