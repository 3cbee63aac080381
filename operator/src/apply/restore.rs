//! Restores what was applied before, and changes nothing else.

use k8s_openapi::Resource;
use kube::ResourceExt;
use serde::Serialize;
use serde_json::Value;

use super::{APPLIED, Apply, SECRETS_HASH, sealed};
use crate::{
    build::{Foundation, Objects, Workloads},
    error::Error,
    kinds::Kind,
};

impl Apply<'_> {
    /// Restores those of `objects` that were deleted or edited, unless they were applied in another form already. Pods are
    /// not replaced because a Secret changed. Claims, Secrets and migrations are left to the spec that is current.
    ///
    /// # Errors
    /// At the first object that cannot be applied.
    pub async fn restore(&mut self, objects: &Objects) -> Result<(), Error> {
        let Objects { foundation, migration: _, workloads } = objects;
        let Foundation { claims: _, secrets: _, service_accounts, config_maps, services, stateful_sets } = foundation;
        let Workloads { deployments, disruption_budgets, autoscalers, trigger_authentications, scaled_objects } = workloads;
        self.restore_each(Kind::ServiceAccount, service_accounts).await?;
        self.restore_each(Kind::ConfigMap, config_maps).await?;
        self.restore_each(Kind::Service, services).await?;
        self.restore_each(Kind::StatefulSet, stateful_sets).await?;
        self.restore_each(Kind::Deployment, deployments).await?;
        self.restore_each(Kind::DisruptionBudget, disruption_budgets).await?;
        self.restore_each(Kind::Autoscaler, autoscalers).await?;
        self.restore_each(Kind::TriggerAuthentication, trigger_authentications).await?;
        self.restore_each(Kind::ScaledObject, scaled_objects).await
    }

    async fn restore_each<K: Resource + Serialize>(&mut self, kind: Kind, objects: &[K]) -> Result<(), Error> {
        for object in objects {
            let mut declared = serde_json::to_value(object)?;
            let name = declared["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            if self.wanted.contains(&(kind, name.clone())) {
                continue;
            }
            self.look_for(kind, &name).await?;
            let mut applied = None;
            if let Some(live) = self.live.get(kind, &name) {
                applied = live.annotations().get(APPLIED).cloned();
                keep_secrets_hash(&mut declared, &live.data);
            }
            let declared = sealed(declared);
            // Another hash is that of another spec or another operator.
            if applied.is_none_or(|applied| declared["metadata"]["annotations"][APPLIED] == applied) {
                self.one(kind, declared).await?;
            }
        }
        Ok(())
    }
}

fn keep_secrets_hash(declared: &mut Value, live: &Value) {
    if let (Some(declared), Some(live)) = (declared.pointer_mut(SECRETS_HASH), live.pointer(SECRETS_HASH)) {
        *declared = live.clone();
    }
}
