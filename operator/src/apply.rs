//! Applies the declared objects, writing only those that differ in the cluster.

mod changes;
mod claims;
mod contains;
pub mod keep_minimum;
mod owner;
mod prune;
mod repair;
mod restore;

use jiff::Timestamp;
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::Value;
use sha2::{Digest, Sha256};

pub use changes::Change;
pub use contains::contains;

use crate::{
    apply::owner::{Owner, owner},
    build::{Prerequisites, Workloads},
    error::Error,
    kinds::Kind,
    live::{
        Live,
        managers::{self, MANAGER, owns},
    },
    validate::Skipped,
};

/// Annotation with the hash of the declared fields. It detects a field that is no longer declared, which [`contains()`] cannot
/// see.
const APPLIED: &str = "catalog.rs/applied-hash";
/// JSON pointer to the pod template annotation with the hash of the Secrets that the pods use.
const SECRETS_HASH: &str = "/spec/template/metadata/annotations/catalog.rs~1secrets-hash";

/// Applies the objects of one Catalog.
pub struct Apply<'a> {
    /// Client for reads and writes.
    pub client: &'a Client,
    /// Namespace of the Catalog and its objects.
    pub namespace: &'a str,
    /// Name of the Catalog.
    pub name: &'a str,
    /// Uid of the Catalog.
    pub uid: &'a str,
    /// Objects in the cluster; updated with every write.
    pub live: &'a mut Live,
    /// When `live` was read.
    pub now: Timestamp,
    /// Declared objects, which [`Apply::prune`] keeps.
    wanted: Vec<(Kind, String)>,
    /// Whether all declared objects are applied, so that the last applied spec has nothing to restore.
    is_complete: bool,
    changes: Vec<Change>,
    /// Objects that the API server rejected without preventing the rest.
    skipped: Vec<Skipped>,
}

impl<'a> Apply<'a> {
    /// Creates an `Apply` for one Catalog, with nothing applied.
    pub fn new(client: &'a Client, namespace: &'a str, name: &'a str, uid: &'a str, live: &'a mut Live, now: Timestamp) -> Self {
        Self { client, namespace, name, uid, live, now, wanted: Vec::new(), is_complete: false, changes: Vec::new(), skipped: Vec::new() }
    }

    /// Whether every declared object is applied. Only objects that are no longer declared may be left.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Applies the objects that the migration needs.
    ///
    /// # Errors
    /// At the first object that cannot be applied.
    pub async fn prerequisites(&mut self, objects: &Prerequisites) -> Result<(), Error> {
        self.claims(&objects.claims).await?;
        for (kind, declared) in objects.in_order()? {
            self.apply_object(kind, with_applied_hash(declared)).await?;
        }
        Ok(())
    }

    /// Applies the migration Job.
    ///
    /// # Errors
    /// If the Job cannot be applied.
    pub async fn migration(&mut self, job: &k8s_openapi::api::batch::v1::Job) -> Result<(), Error> {
        self.apply_object(Kind::Job, with_applied_hash(serde_json::to_value(job)?)).await
    }

    /// Applies the objects that need the migrated database.
    ///
    /// # Errors
    /// At the first object that cannot be applied.
    pub async fn workloads(&mut self, objects: &Workloads) -> Result<(), Error> {
        let minimums = keep_minimum::minimums(objects);
        for (kind, declared) in objects.in_order()? {
            let name = name_of(&declared);
            self.apply_object(kind, with_applied_hash(declared)).await?;
            // Before its autoscaler is applied, which doesn't scale a Deployment of 0 replicas.
            if let (Kind::Deployment, Some(minimum)) = (kind, minimums.get(&name)) {
                self.keep_minimum(&name, *minimum).await?;
            }
        }
        Ok(())
    }

    /// Takes the objects that were skipped so far.
    pub fn skipped(&mut self) -> Vec<Skipped> {
        std::mem::take(&mut self.skipped)
    }

    /// Takes the changes that were made so far.
    pub fn changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    fn record_change(&mut self, change: Change) {
        change.log();
        self.changes.push(change);
    }

    async fn apply_object(&mut self, kind: Kind, declared: Value) -> Result<(), Error> {
        let name = name_of(&declared);
        self.wanted.push((kind, name.clone()));
        self.read_unlisted(kind, &name).await?;
        if let Some(live) = self.live.get(kind, &name) {
            if let Owner::Other(other) = owner(live, self.name, self.uid) {
                return Err(Error::name_taken(kind, &name, other));
            }
            if contains(&serde_json::to_value(live)?, &declared) {
                return Ok(());
            }
            self.end_retention(kind, &name, &declared).await?;
            let Some(live) = self.live.get(kind, &name) else { return Ok(()) };
            if kind == Kind::Deployment && !managers::declares_replicas(&declared) && owns(live, "replicas") {
                self.hand_replicas_over(&name).await?;
            }
        }
        let before = self.live.get(kind, &name).cloned();
        let conflicting = self.patch(kind, &name, &declared).await?;
        self.record_change(Change::applied(kind, &name, before.as_ref(), &declared, &conflicting));
        Ok(())
    }

    /// Gets an object by name that the LIST by label didn't return: it may have lost its labels or belong to another owner.
    async fn read_unlisted(&mut self, kind: Kind, name: &str) -> Result<(), Error> {
        if self.live.get(kind, name).is_none() {
            let found = self.api(kind).get_opt(name).await.map_err(|source| Error::api("get", describe(kind, name), source))?;
            if let Some(object) = found {
                self.live.put(kind, object);
            }
        }
        Ok(())
    }

    /// Applies an object, taking over fields that other managers own. Returns these managers.
    async fn patch(&mut self, kind: Kind, name: &str, declared: &Value) -> Result<Vec<String>, Error> {
        let api = self.api(kind);
        let params = PatchParams::apply(MANAGER);
        let patch = Patch::Apply(declared);
        let mut conflicting = Vec::new();
        let mut applied = match api.patch(name, &params, &patch).await {
            Err(kube::Error::Api(status)) if status.is_conflict() => {
                conflicting = managers::conflicting(&status);
                api.patch(name, &params.clone().force(), &patch).await
            }
            response => response,
        };
        if is_invalid(&applied) && self.repair(kind, name, declared).await? {
            applied = api.patch(name, &params.force(), &patch).await;
        }
        self.live.put(kind, applied.map_err(|source| Error::api("apply", describe(kind, name), source))?);
        Ok(conflicting)
    }

    /// Creates a generated Secret unless it exists.
    ///
    /// # Errors
    /// If the Secret cannot be read or created, or belongs to another owner.
    pub async fn create(&mut self, secret: &k8s_openapi::api::core::v1::Secret) -> Result<(), Error> {
        let name = secret.metadata.name.clone().unwrap_or_default();
        self.read_unlisted(Kind::Secret, &name).await?;
        if let Some(found) = self.live.get(Kind::Secret, &name) {
            return match owner(found, self.name, self.uid) {
                Owner::Other(other) => Err(Error::name_taken(Kind::Secret, &name, other)),
                Owner::This | Owner::Kept => Ok(()),
            };
        }
        let object: DynamicObject = serde_json::from_value(serde_json::to_value(secret)?)?;
        let params = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
        let created = self.api(Kind::Secret).create(&params, &object).await;
        self.live.put(Kind::Secret, created.map_err(|source| Error::api("create", describe(Kind::Secret, &name), source))?);
        self.record_change(Change::generated(&name));
        Ok(())
    }

    /// Replaces the content of a generated Secret.
    ///
    /// # Errors
    /// If the Secret cannot be replaced, or has changed since it was read.
    pub async fn replace(&mut self, name: &str, data: Value, change: Change) -> Result<(), Error> {
        let Some(live) = self.live.get(Kind::Secret, name) else { return Ok(()) };
        let mut object = live.clone();
        object.data["data"] = data;
        let params = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
        let replaced = self.api(Kind::Secret).replace(name, &params, &object).await;
        self.live.put(Kind::Secret, replaced.map_err(|source| Error::api("replace", describe(Kind::Secret, name), source))?);
        self.record_change(change);
        Ok(())
    }

    fn api(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), self.namespace, &kind.resource())
    }
}

fn is_invalid<T>(response: &kube::Result<T>) -> bool {
    matches!(response, Err(kube::Error::Api(status)) if status.code == 422)
}

fn describe(kind: Kind, name: &str) -> String {
    format!("{} {name}", kind.resource().kind)
}

fn name_of(declared: &Value) -> String {
    declared["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

/// Adds the annotation with the hash of the declared object.
fn with_applied_hash(mut declared: Value) -> Value {
    let hash = Sha256::digest(declared.to_string());
    let short: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    declared["metadata"]["annotations"][APPLIED] = short.into();
    declared
}

/// Whether the object was last applied as it is declared now.
fn was_applied(live: &DynamicObject, declared: &Value) -> bool {
    live.annotations().get(APPLIED).map(String::as_str) == declared["metadata"]["annotations"][APPLIED].as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn removing_a_declared_field_changes_the_applied_hash() {
        let before = with_applied_hash(json!({"metadata": {"name": "a"}, "spec": {"x": 1, "y": 2}}));
        let after = with_applied_hash(json!({"metadata": {"name": "a"}, "spec": {"x": 1}}));
        assert!(!contains(&before, &after));
        assert!(contains(&before, &with_applied_hash(json!({"metadata": {"name": "a"}, "spec": {"x": 1, "y": 2}}))));
    }
}
