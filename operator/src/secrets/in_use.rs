//! Which login role the pods of a Catalog use.

use kube::api::DynamicObject;
use serde_json::Value;

use crate::{kinds::Kind, live::Live};

/// The login role of the database of all pods. None if there are no Deployments, or while one replaces its pods.
#[must_use]
pub fn login_in_use(live: &Live) -> Option<String> {
    let mut logins = live.of_kind(Kind::Deployment).map(|deployment| login(deployment).filter(|_| is_rolled_out(deployment)));
    let first = logins.next()??;
    logins.all(|login| login.as_deref() == Some(&*first)).then_some(first)
}

fn login(deployment: &DynamicObject) -> Option<String> {
    let containers = deployment.data["spec"]["template"]["spec"]["containers"].as_array()?;
    let mut variables = containers.iter().filter_map(|container| container["env"].as_array()).flatten();
    Some(variables.find(|variable| variable["name"] == "PGUSER")?["value"].as_str()?.to_owned())
}

/// Whether no pod of an earlier template is left. Pods that end aren't counted.
fn is_rolled_out(deployment: &DynamicObject) -> bool {
    let status = &deployment.data["status"];
    let number = |field: &str| status.get(field).and_then(Value::as_i64).unwrap_or(0);
    deployment.metadata.generation.is_none_or(|generation| number("observedGeneration") >= generation)
        && number("updatedReplicas") == number("replicas")
}
