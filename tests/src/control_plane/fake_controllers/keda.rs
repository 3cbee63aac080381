//! What KEDA writes into the status of `ScaledObject`s.

use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::FakeControllers;
use crate::control_plane::definitions;

impl FakeControllers {
    /// Reports the `ScaledObject`s of all workers of the Catalog `shop` as ready.
    ///
    /// # Panics
    /// If one of them doesn't exist.
    pub async fn run_keda(&self) {
        let ready = json!([{"type": "Ready", "status": "True", "reason": "ScaledObjectReady"}]);
        let status = Patch::Merge(json!({"status": {"conditions": ready}}));
        let scaled_objects = self.namespace.dynamic(&definitions::resource("keda.sh", "v1alpha1", "ScaledObject"));
        for name in ["shop-notifier", "shop-tracker", "shop-fulfiller"] {
            scaled_objects.patch_status(name, &PatchParams::default(), &status).await.expect("the status can be written");
        }
    }
}
