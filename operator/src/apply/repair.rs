//! What server-side apply alone cannot put right.
//!
//! Items of some lists are told apart by fields that people can edit, such as number and protocol of a port. An edited item is then
//! another one, which apply leaves to whoever edited it, and adds the declared one beside it. Where both have the same name
//! the API server refuses that, for ever. So the list is written as a whole, once.

use kube::{
    ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{Apply, describe};
use crate::{error::Error, kinds::Kind};

/// Writes lists as a whole. It must own nothing afterwards: what it owned would stay when it is no longer declared.
const REPAIR_MANAGER: &str = "catalog-operator-repair";

impl Apply<'_> {
    /// Makes the lists of ports of an object as they are declared. Whether that changed anything.
    ///
    /// # Errors
    /// If the API server refuses.
    pub async fn repair(&mut self, kind: Kind, name: &str, declared: &Value) -> Result<bool, Error> {
        let Some(live) = self.live.get(kind, name) else { return Ok(false) };
        let mut whole = serde_json::to_value(live)?;
        if !with_declared_ports(&mut whole, declared) {
            return Ok(false);
        }
        // RFC 7396 replaces lists as a whole.
        let lists = json!({"metadata": {"resourceVersion": live.resource_version()}, "spec": whole["spec"]});
        let asked = PatchParams { field_manager: Some(REPAIR_MANAGER.into()), ..PatchParams::default() };
        let repaired = self.api(kind).patch(name, &asked, &Patch::Merge(lists)).await;
        let repaired = repaired.map_err(|source| Error::api("repair", describe(kind, name), source))?;
        let others: Vec<_> = repaired.managed_fields().iter().filter(|entry| entry.manager.as_deref() != Some(REPAIR_MANAGER)).collect();
        let disown = json!({"metadata": {"managedFields": others, "resourceVersion": repaired.resource_version()}});
        let disowned = self.api(kind).patch(name, &PatchParams::default(), &Patch::Merge(disown)).await;
        self.live.put(kind, disowned.map_err(|source| Error::api("repair", describe(kind, name), source))?);
        Ok(true)
    }
}

/// Puts the declared ports of a Service, and of the containers of a pod template, in the place of the live ones.
fn with_declared_ports(live: &mut Value, declared: &Value) -> bool {
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
    fn only_lists_of_ports_become_as_declared() {
        let declared =
            json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "ports": [{"containerPort": 1}]}, {"name": "b"}]}}}});
        let mut live = json!({"spec": {"template": {"spec": {"containers": [
            {"name": "sidecar", "ports": [{"containerPort": 3}]},
            {"name": "a", "image": "x", "ports": [{"containerPort": 2}]},
            {"name": "b"},
        ]}}}});
        assert!(with_declared_ports(&mut live, &declared));
        let containers = &live["spec"]["template"]["spec"]["containers"];
        assert_eq!(containers[0]["ports"][0]["containerPort"], 3);
        assert_eq!(containers[1], json!({"name": "a", "image": "x", "ports": [{"containerPort": 1}]}));
        assert!(!with_declared_ports(&mut live, &declared));
    }
}
