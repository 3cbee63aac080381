//! The order in which objects are applied and restored.

use serde::Serialize;
use serde_json::{Result, Value};

use super::{Prerequisites, Workloads};
use crate::kinds::Kind;

impl Prerequisites {
    /// Returns the declared objects in order, without the claims, which are applied separately (`apply/claims.rs`).
    ///
    /// # Errors
    /// If an object cannot be serialised.
    pub fn in_order(&self) -> Result<Vec<(Kind, Value)>> {
        // All fields are listed, so that a new field causes a compile error here.
        let Self { claims: _, secrets, service_accounts, config_maps, services, stateful_sets } = self;
        let mut objects = Vec::new();
        add(&mut objects, Kind::Secret, secrets)?;
        add(&mut objects, Kind::ServiceAccount, service_accounts)?;
        add(&mut objects, Kind::ConfigMap, config_maps)?;
        add(&mut objects, Kind::Service, services)?;
        add(&mut objects, Kind::StatefulSet, stateful_sets)?;
        Ok(objects)
    }
}

impl Workloads {
    /// Returns the declared objects in order.
    ///
    /// # Errors
    /// If an object cannot be serialised.
    pub fn in_order(&self) -> Result<Vec<(Kind, Value)>> {
        let Self { deployments, pod_disruption_budgets, autoscalers, trigger_authentications, scaled_objects } = self;
        let mut objects = Vec::new();
        add(&mut objects, Kind::Deployment, deployments)?;
        add(&mut objects, Kind::PodDisruptionBudget, pod_disruption_budgets)?;
        add(&mut objects, Kind::HorizontalPodAutoscaler, autoscalers)?;
        add(&mut objects, Kind::TriggerAuthentication, trigger_authentications)?;
        add(&mut objects, Kind::ScaledObject, scaled_objects)?;
        Ok(objects)
    }
}

fn add<K: Serialize>(objects: &mut Vec<(Kind, Value)>, kind: Kind, declared: &[K]) -> Result<()> {
    for object in declared {
        objects.push((kind, serde_json::to_value(object)?));
    }
    Ok(())
}
