//! Restores what was applied before, and changes nothing else.

use kube::ResourceExt;
use serde_json::Value;

use super::{APPLIED, Apply, SECRETS_HASH, keep_minimum, name_of, with_applied_hash};
use crate::{build::Objects, error::Error, kinds::Kind};

impl Apply<'_> {
    /// Restores those of `objects` that were deleted or edited, unless they were applied in another form already. Pods are
    /// not replaced because a Secret changed. Claims, Secrets and migrations are left to the spec that is current.
    ///
    /// # Errors
    /// The first, after all objects were tried: one that the API server rejects holds no other back.
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
            // The minimum is that of the last applied spec, as the object must be.
            if let (Ok(true), Kind::Deployment, Some(minimum)) = (&restored, kind, minimums.get(&name)) {
                restored = self.keep_minimum(&name, *minimum).await.map(|()| true);
            }
            first = first.and(restored.map(drop));
        }
        first
    }

    /// Whether the object is now as `declared`. One that was applied in another form is left as it is.
    async fn restore_one(&mut self, kind: Kind, name: &str, mut declared: Value) -> Result<bool, Error> {
        self.read_unlisted(kind, name).await?;
        let mut applied = None;
        if let Some(live) = self.live.get(kind, name) {
            applied = live.annotations().get(APPLIED).cloned();
            keep_secrets_hash(&mut declared, &live.data);
        }
        let declared = with_applied_hash(declared);
        // Another hash is that of another spec or another operator.
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
