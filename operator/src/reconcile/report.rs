//! Writes the status if it has changed, and publishes Events.

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
    crd::{Catalog, CatalogStatus, DatabaseStatus, ScheduledRotations},
    error::Error,
    kinds::Kind,
    live::{Live, deployment_names},
    secrets,
    status::{Issues, Outcome, blocked_rotation, next_ignored_at, status},
};

/// Maximum length of a note in bytes (events.k8s.io/v1, `note`).
const MAX_NOTE: usize = 1024;

/// Pause before pods that could not be listed are listed again.
const RETRY_LISTING_PODS_AFTER: Duration = Duration::from_secs(10);

/// Result of [`report`].
pub struct Reported {
    /// The status that was written.
    pub status: CatalogStatus,
    /// Time until the status changes without an event.
    pub until_change: Option<Duration>,
}

/// Writes the status, and publishes the Events about its changes.
///
/// # Errors
/// If the status cannot be written.
pub async fn report(catalog: &Catalog, context: &Context, namespace: &str, live: &Live, outcome: &Outcome) -> Result<Reported, Error> {
    let now = context.now();
    let issues = if live.is_complete() {
        // Also while the Catalog is ready: a container in a crash loop is ready between its failures.
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
    let expire_at = live.secret(&format!("{}-postgres", catalog.name_any())).and_then(|secret| {
        let in_use = secrets::login_in_use(live, deployment_names(&catalog.name_any()));
        secrets::old_passwords_expire_at(&secret.data.unwrap_or_default(), in_use.as_ref()).filter(|at| *at > now)
    });
    let scheduled = report.scheduled_rotations.iter().flat_map(|rotations| [&rotations.signing_keys, &rotations.database_password]);
    let rotates_at = scheduled.flatten().map(|at| at.0);
    let blocked_at = blocked_rotation(catalog, live, now).map(|blocked| blocked.report_at).filter(|at| *at > now);
    let known = rotates_at.chain(next_ignored_at(live, now)).chain(expire_at).chain(blocked_at).min();
    let changes_at = |issues: Issues| issues.changes_at.into_iter().chain(known).min();
    let until_change = issues.map_or(Some(RETRY_LISTING_PODS_AFTER), |issues| changes_at(issues).map(until));
    Ok(Reported { status: report, until_change })
}

async fn write(catalog: &Catalog, context: &Context, namespace: &str, status: &CatalogStatus) -> Result<(), Error> {
    let name = catalog.name_any();
    let api: Api<Catalog> = Api::namespaced(context.client.clone(), namespace);
    // Absent fields are written as null, which removes them (RFC 7396).
    let CatalogStatus { observed_generation, conditions, replicas, version, database, messaging, scheduled_rotations, url, last_applied } =
        status;
    let mut patch = json!({
        "observedGeneration": observed_generation,
        "conditions": conditions,
        "replicas": replicas,
        "version": version,
        "url": url,
    });
    // Unchanged fields are not written: the cached Catalog may be older than the last write of the status.
    let before = catalog.status.as_ref();
    if before.and_then(|before| before.last_applied.as_ref()) != last_applied.as_ref() {
        patch["lastApplied"] = json!(last_applied);
    }
    if before.and_then(|before| before.messaging.as_ref()) != messaging.as_ref() {
        patch["messaging"] = json!(messaging);
    }
    if before.and_then(|before| before.scheduled_rotations.as_ref()) != scheduled_rotations.as_ref() {
        patch["scheduledRotations"] = json!(scheduled_rotations.as_ref().map(|rotations| {
            let ScheduledRotations { signing_keys, database_password } = rotations;
            json!({"signingKeys": signing_keys, "databasePassword": database_password})
        }));
    }
    if before.and_then(|before| before.database.as_ref()) != database.as_ref() {
        patch["database"] = json!(database.as_ref().map(|database| {
            let DatabaseStatus { installation_id, claim_uid, migration, abandoned } = database;
            json!({"installationId": installation_id, "claimUid": claim_uid, "migration": migration, "abandoned": abandoned})
        }));
    }
    match api.patch_status(&name, &PatchParams::default(), &Patch::Merge(json!({"status": patch}))).await {
        Ok(_) => Ok(()),
        // The Catalog was deleted in the meantime.
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(source) => Err(Error::api("write the status of", format!("Catalog {name}"), source)),
    }
}

impl Context {
    /// Publishes the Events about a change of the status.
    async fn publish_notices(&self, catalog: &Catalog, report: &CatalogStatus) {
        for Notice { kind, reason, note } in notices(catalog.status.as_ref(), report, self.now()) {
            self.publish_event(&catalog.object_ref(&()), kind, &reason, note, None).await;
        }
    }

    /// Publishes the Events about an object that was created, patched or deleted.
    pub async fn publish_change(&self, catalog: &Catalog, change: Change) {
        let Change { kind, name, event, overridden, .. } = change;
        let object = reference(catalog, kind, name.clone());
        if let Some((reason, note)) = event {
            self.publish_event(&catalog.object_ref(&()), EventType::Normal, reason, note, Some(object.clone())).await;
        }
        if !overridden.is_empty() {
            let (kind, managers) = (kind.resource().kind, overridden.join(", "));
            let note = format!("Edits of {kind} {name} by {managers} were reverted. Edit the Catalog instead.");
            self.publish_event(&catalog.object_ref(&()), EventType::Warning, "FieldsOverridden", note, Some(object)).await;
        }
    }

    /// Publishes an Event about a Catalog, within the rate limit. A failure is logged only.
    pub(super) async fn publish_event(
        &self,
        catalog: &ObjectReference,
        kind: EventType,
        reason: &str,
        mut note: String,
        secondary: Option<ObjectReference>,
    ) {
        if !self.limits.allow(catalog.uid.as_deref().unwrap_or_default(), reason) {
            return tracing::debug!(reason, "Event not written; too many of this reason");
        }
        note.truncate(note.floor_char_boundary(MAX_NOTE));
        let event = Event { type_: kind, reason: reason.into(), note: Some(note), action: "Reconcile".into(), secondary };
        // A new recorder per Event: one that is reused would add an Event with another note to a series that keeps the first note.
        let reporter = Reporter { controller: "catalog-operator".into(), instance: None };
        if let Err(error) = Recorder::new(self.client.clone(), reporter).publish(&event, catalog).await {
            tracing::warn!(error = %Chain(&error), reason, "Event not written");
        }
    }
}

/// Reference to an object of the Catalog, for the field `related` of an Event.
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
