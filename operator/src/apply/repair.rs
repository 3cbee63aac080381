//! Reverts edits of ports, which server-side apply alone cannot revert.
//!
//! The merge key of a port is its number and protocol. If a client edits one of them, apply sees an item of another manager and
//! adds the declared port beside it. The API server rejects two ports of one name, so every apply would fail. Therefore the
//! list is replaced once as a whole.

use kube::{
    ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{Apply, describe};
use crate::{error::Error, kinds::Kind};

/// Field manager that replaces lists. It must own no field afterwards: apply would not remove such a field.
const REPAIR_MANAGER: &str = "catalog-operator-repair";

impl Apply<'_> {
    /// Replaces lists of ports that contain undeclared ports. Returns whether it changed the object.
    ///
    /// # Errors
    /// If the API server rejects the patch.
    pub async fn repair(&mut self, kind: Kind, name: &str, declared: &Value) -> Result<bool, Error> {
        let Some(live) = self.live.get(kind, name) else { return Ok(false) };
        let mut whole = serde_json::to_value(live)?;
        if !set_declared_ports(&mut whole, declared) {
            return Ok(false);
        }
        // RFC 7396 replaces lists as a whole.
        let lists = json!({"metadata": {"resourceVersion": live.resource_version()}, "spec": whole["spec"]});
        let params = PatchParams { field_manager: Some(REPAIR_MANAGER.into()), ..PatchParams::default() };
        let repaired = self.api(kind).patch(name, &params, &Patch::Merge(lists)).await;
        let repaired = repaired.map_err(|source| Error::api("repair", describe(kind, name), source))?;
        let others: Vec<_> = repaired.managed_fields().iter().filter(|entry| entry.manager.as_deref() != Some(REPAIR_MANAGER)).collect();
        let disown = json!({"metadata": {"managedFields": others, "resourceVersion": repaired.resource_version()}});
        let disowned = self.api(kind).patch(name, &PatchParams::default(), &Patch::Merge(disown)).await;
        self.live.put(kind, disowned.map_err(|source| Error::api("repair", describe(kind, name), source))?);
        Ok(true)
    }
}

/// Replaces the live ports of a Service, or of the containers of a pod template, by the declared ones. Returns whether any differ.
fn set_declared_ports(live: &mut Value, declared: &Value) -> bool {
    let mut changed = replace_ports(live.get_mut("spec"), &declared["spec"]);
    for list in ["containers", "initContainers"] {
        let pointer = format!("/spec/template/spec/{list}");
        for container in declared.pointer(&pointer).and_then(Value::as_array).into_iter().flatten() {
            let live = live.pointer_mut(&pointer).and_then(Value::as_array_mut);
            let same = live.into_iter().flatten().find(|live| live["name"] == container["name"]);
            changed |= replace_ports(same, container);
        }
    }
    changed
}

fn replace_ports(live: Option<&mut Value>, declared: &Value) -> bool {
    let key = |port: &Value| (port.get("containerPort").or(port.get("port")).cloned(), port.get("protocol").cloned());
    let keys = |of: &Value| of["ports"].as_array().into_iter().flatten().map(key).collect::<Vec<_>>();
    match (live, declared.get("ports")) {
        (Some(live), Some(ports)) if keys(live).iter().any(|live| !keys(declared).contains(live)) => {
            live["ports"] = ports.clone();
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lists_of_ports_are_replaced() {
        let declared =
            json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "ports": [{"containerPort": 1}]}, {"name": "b"}]}}}});
        let mut live = json!({"spec": {"template": {"spec": {"containers": [
            {"name": "sidecar", "ports": [{"containerPort": 3}]},
            {"name": "a", "image": "x", "ports": [{"containerPort": 2}]},
            {"name": "b"},
        ]}}}});
        assert!(set_declared_ports(&mut live, &declared));
        let containers = &live["spec"]["template"]["spec"]["containers"];
        assert_eq!(containers[0]["ports"][0]["containerPort"], 3);
        assert_eq!(containers[1], json!({"name": "a", "image": "x", "ports": [{"containerPort": 1}]}));
        assert!(!set_declared_ports(&mut live, &declared));
    }
}
