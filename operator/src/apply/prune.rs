//! Deletes what the Catalog owned and no longer wants, or lets go of it.

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
use crate::{build::retained_annotations, error::Error, kinds::Kind, status::has_condition};

/// An object to delete as it was seen.
type Unwanted = (Kind, String, Preconditions);

impl Apply<'_> {
    /// Deletes what isn't among the applied any more, once everything that is declared was applied. Claims and Secrets stay, as does what only looks like ours.
    ///
    /// # Errors
    /// At the first object that cannot be deleted.
    pub async fn prune(&mut self) -> Result<(), Error> {
        self.is_complete = true;
        self.delete(self.unwanted(), "the Catalog no longer declares it").await
    }

    /// Deletes migrations other than `job` that haven't succeeded: one that waits for its database might have the last word.
    ///
    /// # Errors
    /// At the first that cannot be deleted.
    pub async fn supersede_migrations(&mut self, job: &str) -> Result<(), Error> {
        let unfinished = |name: &str| self.live.get(Kind::Job, name).is_some_and(|job| !has_condition(job, "Complete"));
        let superseded = self.unwanted().into_iter().filter(|(kind, name, _)| *kind == Kind::Job && name != job && unfinished(name));
        let superseded = superseded.collect();
        self.delete(superseded, "another migration supersedes it").await
    }

    /// Lets go of what holds data and isn't among the applied any more, so that it outlives the Catalog, too.
    ///
    /// # Errors
    /// At the first object that cannot be written.
    pub async fn orphan(&mut self) -> Result<(), Error> {
        let held = self.no_longer_wanted().filter(|(kind, _)| kind.is_retainable());
        let freed = held.map(|(kind, object)| {
            let others: Vec<_> = object.owner_references().iter().filter(|owner| owner.uid != self.uid).collect();
            let version = object.resource_version();
            let metadata = json!({"ownerReferences": others, "annotations": retained_annotations(), "resourceVersion": version});
            (kind, object.name_any(), json!({"metadata": metadata}))
        });
        for (kind, name, free) in freed.collect::<Vec<_>>() {
            let freed = self.api(kind).patch(&name, &PatchParams::default(), &Patch::Merge(free)).await;
            self.live.put(kind, freed.map_err(|source| Error::api("release", describe(kind, &name), source))?);
        }
        Ok(())
    }

    /// Removes the annotations of [`Apply::orphan`] from an object that is adopted again and no longer retained. They aren't
    /// removed by applying it without them, because another request than an apply has set them.
    ///
    /// # Errors
    /// If it cannot be written.
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

    pub(super) async fn delete(&mut self, unwanted: Vec<Unwanted>, reason: &str) -> Result<(), Error> {
        for (kind, name, preconditions) in unwanted {
            let asked = DeleteParams::background().preconditions(preconditions);
            match self.api(kind).delete(&name, &asked).await {
                Ok(_) => self.note(Change::deleted(kind, &name, reason)),
                // Gone already.
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                Err(source) => return Err(Error::api("delete", describe(kind, &name), source)),
            }
            self.live.remove(kind, &name);
        }
        Ok(())
    }

    /// In the reverse of the order in which things are applied: scaling before what it scales.
    fn unwanted(&self) -> Vec<Unwanted> {
        let unwanted =
            self.no_longer_wanted().filter(|(kind, object)| !kind.is_retainable() && object.metadata.deletion_timestamp.is_none());
        let mut unwanted: Vec<_> = unwanted
            .map(|(kind, object)| {
                let preconditions = Preconditions { uid: object.uid(), resource_version: object.resource_version() };
                (kind, object.name_any(), preconditions)
            })
            .collect();
        unwanted.reverse();
        unwanted
    }

    /// This Catalog's, and not among the applied.
    fn no_longer_wanted(&self) -> impl Iterator<Item = (Kind, &DynamicObject)> {
        self.live
            .all()
            .filter(|(_, object)| owner(object, self.name, self.uid) == Owner::This)
            .filter(|(kind, object)| !self.wanted.iter().any(|(wanted, named)| (*wanted, named.as_str()) == (*kind, &*object.name_any())))
    }
}
