//! Snapshots of all objects in a namespace, without values that differ between equivalent runs.

use std::collections::BTreeMap;

use futures::future::join_all;
use kube::{
    Client, Discovery, ResourceExt,
    api::{DynamicObject, ListParams, TypeMeta},
    core::ApiResource,
    discovery::{ApiGroup, Scope, verbs},
};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::{Namespace, call_recorder, operator::NAME};

/// Kinds that record what happened, or that the API server creates itself.
const IGNORED_KINDS: [&str; 5] = ["Event", "Lease", "Namespace", "Endpoints", "EndpointSlice"];

/// Normalised objects by kind and name.
pub type Snapshot = BTreeMap<String, Value>;

/// Returns the namespaced kinds. They don't change while the shared API server runs.
pub async fn kinds(client: &Client) -> &'static [ApiResource] {
    static KINDS: OnceCell<Vec<ApiResource>> = OnceCell::const_new();
    KINDS.get_or_init(|| discover(client)).await
}

async fn discover(client: &Client) -> Vec<ApiResource> {
    let discovery = Discovery::new(client.clone()).run().await.expect("discovery succeeds");
    let resources = discovery.groups().flat_map(ApiGroup::recommended_resources);
    resources
        .filter(|(resource, capabilities)| {
            capabilities.scope == Scope::Namespaced
                && capabilities.supports_operation(verbs::LIST)
                && !IGNORED_KINDS.contains(&resource.kind.as_str())
        })
        .map(|(resource, _)| resource)
        .collect()
}

/// Lists every object of the namespace.
///
/// # Panics
/// If a kind cannot be listed.
pub async fn objects(namespace: &Namespace) -> Vec<DynamicObject> {
    let kinds = kinds(namespace.client()).await;
    let lists = kinds.iter().map(async |kind| {
        let list = namespace.dynamic(kind).list(&ListParams::default()).await.expect("objects can be listed");
        list.items.into_iter().map(|mut object| {
            object.types.get_or_insert_with(|| TypeMeta { api_version: kind.api_version.clone(), kind: kind.kind.clone() });
            object
        })
    });
    join_all(lists).await.into_iter().flatten().collect()
}

/// Returns the resource of an object from [`objects`].
///
/// # Panics
/// If it was not listed with its kind.
pub fn resource(object: &DynamicObject) -> ApiResource {
    let types = object.types.as_ref().expect("it was listed with its kind");
    ApiResource::from_gvk(&types.try_into().expect("a kind of the API server"))
}

/// Lists and normalises every object of the namespace.
///
/// # Panics
/// If a kind cannot be listed.
pub async fn take(namespace: &Namespace) -> Snapshot {
    let normalised = objects(namespace).await.into_iter().map(|object| {
        let kind = object.types.as_ref().map(|types| types.kind.clone()).unwrap_or_default();
        let name = format!("{kind}/{}", call_recorder::without_hash(&object.name_any()));
        let value = serde_json::to_value(&object).expect("an object is JSON");
        (name, normalised(&kind, value, namespace.name()))
    });
    let mut snapshot = Snapshot::new();
    for (name, value) in normalised {
        // The names of two migrations differ only in the hash that was removed.
        let also = snapshot.keys().filter(|key| key.split('+').next() == Some(&name)).count();
        snapshot.insert(if also == 0 { name } else { format!("{name}+{also}") }, value);
    }
    snapshot
}

/// Lists the objects and fields in which two snapshots differ.
pub fn differences(expected: &Snapshot, actual: &Snapshot) -> Vec<String> {
    let mut found = Vec::new();
    for (name, value) in expected {
        match actual.get(name) {
            Some(other) => differ(name, value, other, &mut found),
            None => found.push(format!("{name} is missing")),
        }
    }
    found.extend(actual.keys().filter(|name| !expected.contains_key(*name)).map(|name| format!("{name} should not exist")));
    found
}

fn differ(path: &str, expected: &Value, actual: &Value, found: &mut Vec<String>) {
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => {
            for key in expected.keys().chain(actual.keys().filter(|key| !expected.contains_key(*key))) {
                let (expected, actual) = (expected.get(key).unwrap_or(&Value::Null), actual.get(key).unwrap_or(&Value::Null));
                differ(&format!("{path}.{key}"), expected, actual, found);
            }
        }
        (Value::Array(expected), Value::Array(actual)) if expected.len() == actual.len() => {
            for (index, (expected, actual)) in expected.iter().zip(actual).enumerate() {
                differ(&format!("{path}[{index}]"), expected, actual, found);
            }
        }
        _ if expected != actual => found.push(format!("{path}: {actual}, not {expected}")),
        _ => {}
    }
}

fn normalised(kind: &str, mut object: Value, namespace: &str) -> Value {
    let generation = object["metadata"]["generation"].clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for key in ["uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "namespace"] {
            metadata.remove(key);
        }
        if let Some(owners) = metadata.get_mut("ownerReferences").and_then(Value::as_array_mut) {
            for owner in owners {
                owner["uid"] = json!("UID");
            }
        }
    }
    match kind {
        "Secret" => hide_contents(&mut object),
        "Service" => {
            for key in ["clusterIP", "clusterIPs"] {
                remove(&mut object["spec"], key);
            }
        }
        // The operator never lowers max_connections of a running server, so the value depends on earlier specs.
        "StatefulSet" => {
            remove(&mut object["metadata"]["annotations"], "catalog.rs/applied-hash");
            let arguments = object.pointer_mut("/spec/template/spec/containers/0/args").and_then(Value::as_array_mut);
            for argument in arguments.into_iter().flatten().filter(|it| it.as_str().is_some_and(|it| it.starts_with("max_connections="))) {
                *argument = json!("max_connections=N");
            }
        }
        "Catalog" => {
            observed(&mut object["status"], &generation);
            // They contain the uid of a claim and the hash in the name of a Job.
            remove(&mut object["status"], "database");
            remove(&mut object["status"], "messaging");
            if let Some(last_applied) = object["status"].get_mut("lastApplied") {
                observed(last_applied, &generation);
            }
            for condition in object["status"]["conditions"].as_array_mut().into_iter().flatten() {
                observed(condition, &generation);
                remove(condition, "lastTransitionTime");
                // This part of the message remains after the claim of NATS was replaced.
                if let Some((message, _)) =
                    condition["message"].as_str().and_then(|message| message.split_once("; its volume was replaced at "))
                {
                    condition["message"] = json!(message);
                }
            }
        }
        _ => {}
    }
    // The fake controllers write the other statuses.
    if kind != "Catalog" {
        remove(&mut object, "status");
    }
    normalise_texts(&mut object, namespace);
    object
}

/// Replaces an `observedGeneration` that is current, since the number of edits differs between runs.
fn observed(status: &mut Value, generation: &Value) {
    if status.get("observedGeneration") == Some(generation) {
        status["observedGeneration"] = json!("the last");
    }
}

fn remove(object: &mut Value, key: &str) {
    if let Some(object) = object.as_object_mut() {
        object.remove(key);
    }
}

/// Replaces the data of a Secret by its keys, since generated values and the names of signing keys differ.
fn hide_contents(secret: &mut Value) {
    let keys = secret["data"].as_object().into_iter().flatten().map(|(key, _)| {
        let is_signing_key = std::path::Path::new(key).extension().is_some_and(|extension| extension == "pem");
        if is_signing_key { "KEY.pem".to_owned() } else { key.clone() }
    });
    let mut keys: Vec<_> = keys.collect();
    keys.sort();
    secret["data"] = json!(keys);
}

/// Replaces the namespace, hashes of generated contents, uids and times in all texts.
fn normalise_texts(value: &mut Value, namespace: &str) {
    match value {
        Value::String(text) => *text = normalised_text(text, namespace),
        Value::Array(items) => items.iter_mut().for_each(|item| normalise_texts(item, namespace)),
        Value::Object(fields) => {
            for (key, field) in fields.iter_mut() {
                let differs = key.ends_with("-hash") || key.ends_with("controller-uid") || key.starts_with("catalog.rs/rotate-");
                if differs { *field = json!("ANY") } else { normalise_texts(field, namespace) }
            }
        }
        _ => {}
    }
}

fn normalised_text(text: &str, namespace: &str) -> String {
    let text = text.replace(namespace, "NAMESPACE");
    // The names of migrations and the prefix of streams contain hashes.
    let text = without_hash_after(&text, "-migrate-");
    without_hash_after(&text, &format!("NAMESPACE_{NAME}_"))
}

fn without_hash_after(text: &str, stem: &str) -> String {
    let mut parts = text.split(stem);
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        result.push_str(stem);
        result.push_str("HASH");
        result.push_str(part.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
    }
    result
}
