//! The garbage collector, controllers.

use std::collections::BTreeSet;

use kube::{
    ResourceExt,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
};
use serde_json::json;

use super::FakeControllers;
use crate::control_plane::snapshot::{self, resource};

impl FakeControllers {
    /// Objects of that kind go; the collector hasn't come to the others yet.
    pub async fn collect_garbage_of(&self, kind: &str) {
        for object in snapshot::objects(&self.namespace).await {
            if object.types.as_ref().is_some_and(|types| types.kind == kind) {
                let asked = DeleteParams::background();
                self.namespace.dynamic(&resource(&object)).delete(&object.name_any(), &asked).await.expect("it can go");
            }
        }
    }

    /// Objects go whose owners are gone, and their dependants after them; and so do deleted objects that
    /// only waited for somebody who isn't there: claims that no pod uses, owners whose dependants are gone.
    pub async fn collect_garbage(&self) {
        loop {
            let objects = snapshot::objects(&self.namespace).await;
            let there: BTreeSet<_> = objects.iter().filter_map(ResourceExt::uid).collect();
            let mut collected = 0;
            for object in &objects {
                let owners = object.owner_references();
                let is_orphan = !owners.is_empty() && owners.iter().all(|owner| !there.contains(&owner.uid));
                if object.metadata.deletion_timestamp.is_some() {
                    self.release(object).await;
                } else if is_orphan {
                    self.namespace
                        .dynamic(&resource(object))
                        .delete(&object.name_any(), &DeleteParams::background())
                        .await
                        .expect("it can go");
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

    async fn release(&self, object: &DynamicObject) {
        let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        let api = self.namespace.dynamic(&resource(object));
        match api.patch(&object.name_any(), &PatchParams::default(), &patch).await {
            Ok(_) => {}
            Err(kube::Error::Api(error)) if error.code == 404 => {}
            Err(error) => panic!("the finalizers of {} cannot be taken away: {error}", object.name_any()),
        }
    }
}
