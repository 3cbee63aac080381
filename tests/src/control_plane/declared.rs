//! The fields that the operator declares, according to `managedFields`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::{ResourceExt, api::DynamicObject};
use serde_json::{Value, json};

/// The field manager of the operator.
pub const MANAGER: &str = "catalog-operator";

/// Returns pointers (RFC 6901) to every field of the object that the operator has applied: the leaves of its
/// `managedFields` entry, whose format is in structured-merge-diff (`fieldpath/serialize.go`).
///
/// Pass the object unchanged: an edit can shift positions in lists.
///
/// # Panics
/// If the object has no JSON form.
pub fn fields(object: &DynamicObject) -> Vec<String> {
    let is_ours = |entry: &&ManagedFieldsEntry| {
        entry.manager.as_deref() == Some(MANAGER) && entry.operation.as_deref() == Some("Apply") && entry.subresource.is_none()
    };
    let whole = serde_json::to_value(object).expect("an object is JSON");
    let mut found = Vec::new();
    for entry in object.managed_fields().iter().filter(is_ours) {
        if let Some(fields) = &entry.fields_v1 {
            leaves(&fields.0, &whole, String::new(), &mut found);
        }
    }
    found
}

fn leaves(fields: &Value, value: &Value, pointer: String, found: &mut Vec<String>) {
    let Some(fields) = fields.as_object().filter(|fields| fields.keys().any(|key| key != ".")) else {
        found.push(pointer);
        return;
    };
    for (key, below) in fields {
        let step = match key.split_once(':') {
            Some(("f", name)) => Some(name.replace('~', "~0").replace('/', "~1")),
            Some(("k", keys)) => serde_json::from_str(keys).ok().and_then(|keys: Value| position(value, |item| has(item, &keys))),
            Some(("v", item)) => serde_json::from_str(item).ok().and_then(|wanted: Value| position(value, |item| *item == wanted)),
            _ => None,
        };
        let Some(step) = step else { continue };
        let below_pointer = format!("/{step}");
        if let Some(inner) = value.pointer(&below_pointer) {
            leaves(below, inner, format!("{pointer}{below_pointer}"), found);
        }
    }
}

fn position(list: &Value, is_it: impl Fn(&Value) -> bool) -> Option<String> {
    list.as_array()?.iter().position(is_it).map(|index| index.to_string())
}

fn has(item: &Value, keys: &Value) -> bool {
    keys.as_object().is_some_and(|keys| keys.iter().all(|(key, value)| item.get(key) == Some(value)))
}

/// Returns the field of `after` that corresponds to `pointer` in `before`, even if list items have moved.
pub fn same_field<'a>(before: &Value, after: &'a Value, pointer: &str) -> Option<&'a Value> {
    let (mut before, mut after) = (before, after);
    for step in pointer.split('/').skip(1) {
        let below = before.pointer(&format!("/{step}"))?;
        after = match after.as_array() {
            Some(items) => items.iter().find(|item| is_same(below, item))?,
            None => after.pointer(&format!("/{step}"))?,
        };
        before = below;
    }
    Some(after)
}

/// Whether two list items have the same merge key, or are equal if they have none.
fn is_same(one: &Value, other: &Value) -> bool {
    let key = ["mountPath", "containerPort", "port", "topologyKey", "uid", "name"].into_iter().find(|key| one.get(key).is_some());
    key.map_or(one == other, |key| one.get(key) == other.get(key))
}

/// Returns a different value of the same type, if the type is scalar.
pub fn another(value: &Value) -> Option<Value> {
    match value {
        // The API server rejects other protocols.
        Value::String(text) if text == "TCP" => Some(json!("UDP")),
        Value::String(text) if text.parse::<i64>().is_ok() => Some(json!(format!("{text}1"))),
        Value::String(text) => Some(json!(format!("{text}x"))),
        Value::Number(number) => number.as_i64().map(|number| json!(number + 1)),
        Value::Bool(flag) => Some(json!(!flag)),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Removes the field at `pointer` from an object or list. Returns whether it existed.
pub fn remove(whole: &mut Value, pointer: &str) -> bool {
    let Some((parent, last)) = pointer.rsplit_once('/') else { return false };
    let last = last.replace("~1", "/").replace("~0", "~");
    match whole.pointer_mut(parent) {
        Some(Value::Object(fields)) => fields.remove(&last).is_some(),
        Some(Value::Array(items)) => match last.parse::<usize>() {
            Ok(index) if index < items.len() => {
                items.remove(index);
                true
            }
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_fields_are_found_in_lists_by_their_keys() {
        let object: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "a", "annotations": {"catalog.rs/x": "1"}, "managedFields": [{
                "manager": MANAGER, "operation": "Apply", "fieldsV1": {
                    "f:metadata": {"f:annotations": {"f:catalog.rs/x": {}}},
                    "f:spec": {"f:containers": {"k:{\"name\":\"b\"}": {".": {}, "f:name": {}, "f:image": {}}}},
                },
            }]},
            "spec": {"containers": [{"name": "sidecar", "image": "y"}, {"name": "b", "image": "x"}]},
        }))
        .unwrap();
        let mut found = fields(&object);
        found.sort();
        assert_eq!(found, ["/metadata/annotations/catalog.rs~1x", "/spec/containers/1/image", "/spec/containers/1/name"]);
    }
}
