//! Restores objects of the last applied spec.

use kube::ResourceExt;
use serde_json::Value;

use super::{APPLIED, Apply, SECRETS_HASH, keep_minimum, name_of, with_applied_hash};
use crate::{build::Objects, error::Error, kinds::Kind};

impl Apply<'_> {
    /// Restores those of `objects` that were deleted or edited, unless a newer spec has already been applied to them (other applied hash).
    /// A changed Secret doesn't replace pods. Claims, Secrets and migrations are not restored; only the current spec applies them.
    ///
    /// # Errors
    /// Tries every object, then returns the first error.
    pub async fn restore(&mut self, objects: &Objects) -> Result<(), Error> {
        let Objects { prerequisites, migration: _, workloads } = objects;
        let minimums = keep_minimum::minimums(workloads);
        let mut first = Ok(());
        for (kind, declared) in prerequisites.in_order()?.into_iter().chain(workloads.in_order()?) {
            let name = name_of(&declared);
            if kind == Kind::Secret || self.wanted.contains(&(kind, name.clone())) {
                continue;
            }
            let mut restored = self.restore_one(kind, &name, declared).await;
            // Only if the Deployment matches the last applied spec does that spec's minimum apply.
            if let (Ok(true), Kind::Deployment, Some(minimum)) = (&restored, kind, minimums.get(&name)) {
                restored = self.keep_minimum(&name, *minimum).await.map(|()| true);
            }
            first = first.and(restored.map(drop));
        }
        first
    }

    /// Applies `declared` unless a newer spec has already been applied to the object. Returns whether it was applied.
    async fn restore_one(&mut self, kind: Kind, name: &str, mut declared: Value) -> Result<bool, Error> {
        self.read_unlisted(kind, name).await?;
        let mut applied = None;
        if let Some(live) = self.live.get(kind, name) {
            applied = live.annotations().get(APPLIED).cloned();
            keep_secrets_hash(&mut declared, &live.data);
        }
        let declared = with_applied_hash(declared);
        // Another hash was written for another spec or by another release of the operator.
        let is_of_this_spec = applied.is_none_or(|applied| declared["metadata"]["annotations"][APPLIED] == applied);
        if is_of_this_spec {
            self.apply_object(kind, declared).await?;
        }
        Ok(is_of_this_spec)
    }
}

fn keep_secrets_hash(declared: &mut Value, live: &Value) {
    if let (Some(declared), Some(live)) = (declared.pointer_mut(SECRETS_HASH), live.pointer(SECRETS_HASH)) {
        *declared = live.clone();
    }
}
