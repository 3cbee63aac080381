//! Makes the cluster say what is declared, object by object, writing only where it doesn't.

mod changes;
mod claims;
mod contains;
mod managers;
mod owner;
mod prune;
mod repair;
mod restore;
pub mod scale;

use jiff::Timestamp;
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::Value;
use sha2::{Digest, Sha256};

pub use changes::Change;
pub use contains::contains;
pub use managers::{MANAGER, owns, owns_arguments};

use crate::{
    apply::owner::{Owner, owner},
    build::{Prerequisites, Workloads},
    error::Error,
    kinds::Kind,
    live::Live,
    validate::Skipped,
};

/// Annotation with the hash of what was declared. A field that is no longer declared changes it, though the
/// object still contains what is.
const APPLIED: &str = "catalog.rs/applied-hash";
/// Pointer to the annotation of a pod template with a hash of what the pods take from Secrets.
const SECRETS_HASH: &str = "/spec/template/metadata/annotations/catalog.rs~1secrets-hash";

/// Applies the objects of one Catalog.
pub struct Apply<'a> {
    /// For reads and writes.
    pub client: &'a Client,
    /// Where everything is.
    pub namespace: &'a str,
    /// Name of the Catalog.
    pub name: &'a str,
    /// Uid of the Catalog.
    pub uid: &'a str,
    /// As it is; kept up to date.
    pub live: &'a mut Live,
    /// When it was read.
    pub now: Timestamp,
    /// What is declared, for [`Apply::prune`].
    wanted: Vec<(Kind, String)>,
    /// Whether all of it is applied, so that the last applied spec has nothing to restore.
    is_complete: bool,
    /// What was written.
    changes: Vec<Change>,
    /// What the API server rejected, if the rest could be applied.
    skipped: Vec<Skipped>,
}

impl<'a> Apply<'a> {
    /// For one Catalog.
    pub fn new(client: &'a Client, namespace: &'a str, name: &'a str, uid: &'a str, live: &'a mut Live, now: Timestamp) -> Self {
        Self { client, namespace, name, uid, live, now, wanted: Vec::new(), is_complete: false, changes: Vec::new(), skipped: Vec::new() }
    }

    /// Whether every declared object is applied. Only objects that are no longer declared may be left.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Applies what the migration needs.
    ///
    /// # Errors
    /// At the first object that cannot be applied.
    pub async fn prerequisites(&mut self, objects: &Prerequisites) -> Result<(), Error> {
        self.claims(&objects.claims).await?;
        for (kind, declared) in objects.in_order()? {
            self.one(kind, with_applied_hash(declared)).await?;
        }
        Ok(())
    }

    /// Applies the migration.
    ///
    /// # Errors
    /// If it cannot be applied.
    pub async fn migration(&mut self, job: &k8s_openapi::api::batch::v1::Job) -> Result<(), Error> {
        self.one(Kind::Job, with_applied_hash(serde_json::to_value(job)?)).await
    }

    /// Applies what needs the migrated database.
    ///
    /// # Errors
    /// At the first object that cannot be applied.
    pub async fn workloads(&mut self, objects: &Workloads) -> Result<(), Error> {
        let minimums = scale::minimums(objects);
        for (kind, declared) in objects.in_order()? {
            let name = name_of(&declared);
            self.one(kind, with_applied_hash(declared)).await?;
            // Before its autoscaler, which leaves a Deployment of 0 replicas alone.
            if let (Kind::Deployment, Some(minimum)) = (kind, minimums.get(&name)) {
                self.keep_minimum(&name, *minimum).await?;
            }
        }
        Ok(())
    }

    /// What was skipped so far.
    pub fn skipped(&mut self) -> Vec<Skipped> {
        std::mem::take(&mut self.skipped)
    }

    /// What was created, patched or deleted so far.
    pub fn changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    fn note(&mut self, change: Change) {
        change.log();
        self.changes.push(change);
    }

    async fn one(&mut self, kind: Kind, declared: Value) -> Result<(), Error> {
        let name = name_of(&declared);
        self.wanted.push((kind, name.clone()));
        self.look_for(kind, &name).await?;
        if let Some(live) = self.live.get(kind, &name) {
            if let Owner::Other(whose) = owner(live, self.name, self.uid) {
                return Err(Error::name_taken(kind, &name, whose));
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
        let noted = |managers: &[String]| Change::applied(kind, &name, before.as_ref(), &declared, managers);
        let conflicting = self.patch(kind, &name, &declared).await?;
        self.note(noted(&conflicting));
        Ok(())
    }

    /// Looks by name for an object that isn't among the labelled: its labels may be lost, or it may be somebody else's.
    async fn look_for(&mut self, kind: Kind, name: &str) -> Result<(), Error> {
        if self.live.get(kind, name).is_none() {
            let found = self.api(kind).get_opt(name).await.map_err(|source| Error::api("get", describe(kind, name), source))?;
            if let Some(object) = found {
                self.live.put(kind, object);
            }
        }
        Ok(())
    }

    /// Applies it, and takes the fields that other managers hold. Who they were.
    async fn patch(&mut self, kind: Kind, name: &str, declared: &Value) -> Result<Vec<String>, Error> {
        let api = self.api(kind);
        let asked = PatchParams::apply(MANAGER);
        let patch = Patch::Apply(declared);
        let mut conflicting = Vec::new();
        let mut applied = match api.patch(name, &asked, &patch).await {
            Err(kube::Error::Api(status)) if status.is_conflict() => {
                conflicting = managers::conflicting(&status);
                api.patch(name, &asked.clone().force(), &patch).await
            }
            answered => answered,
        };
        if is_invalid(&applied) && self.repair(kind, name, declared).await? {
            applied = api.patch(name, &asked.force(), &patch).await;
        }
        self.live.put(kind, applied.map_err(|source| Error::api("apply", describe(kind, name), source))?);
        Ok(conflicting)
    }

    /// Creates a Secret whose content is made once. One that is there already is read instead.
    ///
    /// # Errors
    /// If it can neither be created nor read.
    pub async fn create(&mut self, secret: &k8s_openapi::api::core::v1::Secret) -> Result<(), Error> {
        let name = secret.metadata.name.clone().unwrap_or_default();
        self.look_for(Kind::Secret, &name).await?;
        if let Some(found) = self.live.get(Kind::Secret, &name) {
            return match owner(found, self.name, self.uid) {
                Owner::Other(whose) => Err(Error::name_taken(Kind::Secret, &name, whose)),
                Owner::This | Owner::Kept => Ok(()),
            };
        }
        let object: DynamicObject = serde_json::from_value(serde_json::to_value(secret)?)?;
        let asked = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
        let created = self.api(Kind::Secret).create(&asked, &object).await;
        self.live.put(Kind::Secret, created.map_err(|source| Error::api("create", describe(Kind::Secret, &name), source))?);
        self.note(Change::generated(&name));
        Ok(())
    }

    /// Replaces the content of a generated Secret, unless it has changed since it was read.
    ///
    /// # Errors
    /// If it cannot be replaced.
    pub async fn replace(&mut self, name: &str, data: Value, change: Change) -> Result<(), Error> {
        let Some(live) = self.live.get(Kind::Secret, name) else { return Ok(()) };
        let mut object = live.clone();
        object.data["data"] = data;
        let asked = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
        let replaced = self.api(Kind::Secret).replace(name, &asked, &object).await;
        self.live.put(Kind::Secret, replaced.map_err(|source| Error::api("replace", describe(Kind::Secret, name), source))?);
        self.note(change);
        Ok(())
    }

    fn api(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), self.namespace, &kind.resource())
    }
}

fn is_invalid<T>(answer: &kube::Result<T>) -> bool {
    matches!(answer, Err(kube::Error::Api(status)) if status.code == 422)
}

fn describe(kind: Kind, name: &str) -> String {
    format!("{} {name}", kind.resource().kind)
}

fn name_of(declared: &Value) -> String {
    declared["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

/// With the hash of all that is declared.
fn with_applied_hash(mut declared: Value) -> Value {
    let hash = Sha256::digest(declared.to_string());
    let short: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    declared["metadata"]["annotations"][APPLIED] = short.into();
    declared
}

/// Whether what is declared now was the last that was applied.
fn was_applied(live: &DynamicObject, declared: &Value) -> bool {
    live.annotations().get(APPLIED).map(String::as_str) == declared["metadata"]["annotations"][APPLIED].as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_longer_declared_changes_the_applied_hash() {
        let before = with_applied_hash(json!({"metadata": {"name": "a"}, "spec": {"x": 1, "y": 2}}));
        let after = with_applied_hash(json!({"metadata": {"name": "a"}, "spec": {"x": 1}}));
        assert!(!contains(&before, &after));
        assert!(contains(&before, &with_applied_hash(json!({"metadata": {"name": "a"}, "spec": {"x": 1, "y": 2}}))));
    }
}
