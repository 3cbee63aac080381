//! Deletes or orphans objects that the Catalog owns and no longer declares.

use std::collections::BTreeMap;

use kube::{
    ResourceExt,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions},
};
use serde_json::{Value, json};

use super::{
    Apply, Change, describe,
    owner::{Owner, owner},
};
use crate::{error::Error, kinds::Kind, live::conditions::has_condition, metadata::retained_annotations};

/// An object to delete, with the preconditions that it is the one that was read.
type Deletion = (Kind, String, Preconditions);

impl Apply<'_> {
    /// Deletes owned objects that are no longer declared, except claims and Secrets. Call it after all declared objects are applied.
    ///
    /// # Errors
    /// At the first object that cannot be deleted.
    pub async fn prune(&mut self) -> Result<(), Error> {
        self.is_complete = true;
        self.delete(self.deletions(), "the Catalog no longer declares it").await
    }

    /// Deletes migration Jobs other than `job` that haven't succeeded, so that an older migration doesn't run after a newer one.
    ///
    /// # Errors
    /// At the first Job that cannot be deleted.
    pub async fn supersede_migrations(&mut self, job: &str) -> Result<(), Error> {
        let unfinished = |name: &str| self.live.get(Kind::Job, name).is_some_and(|job| !has_condition(job, "Complete"));
        let superseded = self.deletions().into_iter().filter(|(kind, name, _)| *kind == Kind::Job && name != job && unfinished(name));
        let superseded = superseded.collect();
        self.delete(superseded, "another migration supersedes it").await
    }

    /// Removes the owner reference from claims and Secrets that are no longer declared, so that they outlive the Catalog.
    ///
    /// # Errors
    /// At the first object that cannot be written.
    pub async fn orphan(&mut self) -> Result<(), Error> {
        let held = self.undeclared().filter(|(kind, _)| kind.is_retainable());
        let freed = held.map(|(kind, object)| {
            let others: Vec<_> = object.owner_references().iter().filter(|owner| owner.uid != self.uid).collect();
            let version = object.resource_version();
            let metadata = json!({"ownerReferences": others, "annotations": retained_annotations(), "resourceVersion": version});
            (kind, object.name_any(), json!({"metadata": metadata}))
        });
        for (kind, name, free) in freed.collect::<Vec<_>>() {
            let freed = self.api(kind).patch(&name, &PatchParams::default(), &Patch::Merge(free)).await;
            self.live.put(kind, freed.map_err(|source| Error::api("orphan", describe(kind, &name), source))?);
        }
        Ok(())
    }

    /// Removes the annotations of [`Apply::orphan`] from an object that is adopted again and no longer retained. Applying the
    /// object without them doesn't remove them, because a merge patch has set them.
    ///
    /// # Errors
    /// If the object cannot be written.
    pub(super) async fn end_retention(&mut self, kind: Kind, name: &str, declared: &Value) -> Result<(), Error> {
        let Some(live) = self.live.get(kind, name) else { return Ok(()) };
        let is_declared = |annotation: &str| declared["metadata"]["annotations"].get(annotation).is_some();
        let ended = retained_annotations().into_iter().filter(|(annotation, value)| live.annotations().get(annotation) == Some(value));
        let ended: BTreeMap<_, _> = ended.filter(|(annotation, _)| !is_declared(annotation)).map(|(name, _)| (name, Value::Null)).collect();
        if ended.is_empty() || owner(live, self.name, self.uid) != Owner::Kept {
            return Ok(());
        }
        let patch = json!({"metadata": {"annotations": ended, "resourceVersion": live.resource_version()}});
        let adopted = self.api(kind).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        self.live.put(kind, adopted.map_err(|source| Error::api("adopt", describe(kind, name), source))?);
        Ok(())
    }

    pub(super) async fn delete(&mut self, deletions: Vec<Deletion>, reason: &str) -> Result<(), Error> {
        for (kind, name, preconditions) in deletions {
            let params = DeleteParams::background().preconditions(preconditions);
            match self.api(kind).delete(&name, &params).await {
                Ok(_) => self.record_change(Change::deleted(kind, &name, reason)),
                // Deleted by another client.
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                Err(source) => return Err(Error::api("delete", describe(kind, &name), source)),
            }
            self.live.remove(kind, &name);
        }
        Ok(())
    }

    /// Owned objects to delete, in reverse order of application: autoscalers before their Deployments.
    fn deletions(&self) -> Vec<Deletion> {
        let undeclared = self.undeclared().filter(|(kind, object)| !kind.is_retainable() && object.metadata.deletion_timestamp.is_none());
        let mut deletions: Vec<_> = undeclared
            .map(|(kind, object)| {
                let preconditions = Preconditions { uid: object.uid(), resource_version: object.resource_version() };
                (kind, object.name_any(), preconditions)
            })
            .collect();
        deletions.reverse();
        deletions
    }

    /// Objects that this Catalog owns and doesn't declare.
    fn undeclared(&self) -> impl Iterator<Item = (Kind, &DynamicObject)> {
        self.live
            .all()
            .filter(|(_, object)| owner(object, self.name, self.uid) == Owner::This)
            .filter(|(kind, object)| !self.wanted.iter().any(|(wanted, named)| (*wanted, named.as_str()) == (*kind, &*object.name_any())))
    }
}
