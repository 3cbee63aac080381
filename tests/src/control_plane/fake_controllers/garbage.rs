//! A fake garbage collector.

use std::collections::BTreeSet;

use kube::{
    ResourceExt,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
};
use serde_json::json;

use super::FakeControllers;
use crate::control_plane::snapshot::{self, resource};

impl FakeControllers {
    /// Deletes all objects of one kind, like a collector that has not reached the other kinds yet.
    pub async fn collect_garbage_of(&self, kind: &str) {
        for object in snapshot::objects(&self.namespace).await {
            if object.types.as_ref().is_some_and(|types| types.kind == kind) {
                let params = DeleteParams::background();
                self.namespace.dynamic(&resource(&object)).delete(&object.name_any(), &params).await.expect("it can be deleted");
            }
        }
    }

    /// Deletes objects whose owners no longer exist, and then their dependants. Removes the finalizers of deleted objects,
    /// as the controllers of claims and of foreground deletion do.
    pub async fn collect_garbage(&self) {
        loop {
            let objects = snapshot::objects(&self.namespace).await;
            let existing: BTreeSet<_> = objects.iter().filter_map(ResourceExt::uid).collect();
            let mut collected = 0;
            for object in &objects {
                let owners = object.owner_references();
                let is_orphan = !owners.is_empty() && owners.iter().all(|owner| !existing.contains(&owner.uid));
                if object.metadata.deletion_timestamp.is_some() {
                    self.remove_finalizers(object).await;
                } else if is_orphan {
                    self.namespace
                        .dynamic(&resource(object))
                        .delete(&object.name_any(), &DeleteParams::background())
                        .await
                        .expect("it can be deleted");
                } else {
                    continue;
                }
                collected += 1;
            }
            if collected == 0 {
                return;
            }
        }
    }

    async fn remove_finalizers(&self, object: &DynamicObject) {
        let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        let api = self.namespace.dynamic(&resource(object));
        match api.patch(&object.name_any(), &PatchParams::default(), &patch).await {
            Ok(_) => {}
            Err(kube::Error::Api(error)) if error.code == 404 => {}
            Err(error) => panic!("the finalizers of {} cannot be removed: {error}", object.name_any()),
        }
    }
}
