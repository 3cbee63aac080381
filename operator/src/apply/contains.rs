//! Whether a live object contains its declared fields.

use kube_quantity::ParsedQuantity;
use serde_json::{Map, Value};

/// Whether `live` has all values of `declared`. Further fields of `live` (defaults, fields of other managers) are ignored,
/// except in atomic lists and maps.
#[must_use]
pub fn contains(live: &Value, declared: &Value) -> bool {
    includes("", live, declared)
}

fn includes(field: &str, live: &Value, declared: &Value) -> bool {
    match (live, declared) {
        (Value::Object(live), Value::Object(declared)) if is_atomic(field) && live.len() > declared.len() => false,
        (Value::Object(live), Value::Object(declared)) => declared.iter().all(|(name, declared)| match live.get(name) {
            Some(live) if has_quantities(field) => is_same_quantity(live, declared),
            Some(live) => includes(name, live, declared),
            None => is_empty(declared),
        }),
        (Value::Array(live), Value::Array(declared)) => match merge_keys(field) {
            Some(keys) => declared.iter().all(|declared| {
                let same = |live: &&Value| keys.iter().all(|key| live.get(key) == declared.get(key));
                live.iter().find(same).is_some_and(|live| includes("", live, declared))
            }),
            None => live.len() == declared.len() && live.iter().zip(declared).all(|(live, declared)| includes("", live, declared)),
        },
        (live, declared) => live == declared || (is_quantity(field) && is_same_quantity(live, declared)),
    }
}

/// Whether the API server omits the value because it is empty.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => Map::is_empty(fields),
        _ => false,
    }
}

/// The merge keys of lists that are `x-kubernetes-list-type: map` in the API server's OpenAPI document. (The key of `ports` also
/// has the protocol, which the API server defaults. It is omitted here, as no object of the operator has one port twice.)
fn merge_keys(list: &str) -> Option<&'static [&'static str]> {
    match list {
        "containers" | "initContainers" | "env" | "volumes" | "imagePullSecrets" => Some(&["name"]),
        "volumeMounts" => Some(&["mountPath"]),
        "ports" => Some(&["containerPort", "port"]),
        "ownerReferences" => Some(&["uid"]),
        "topologySpreadConstraints" => Some(&["topologyKey", "whenUnsatisfiable"]),
        _ => None,
    }
}

/// Whether an object is `x-kubernetes-map-type: atomic` and has no defaults, such as a selector.
fn is_atomic(object: &str) -> bool {
    matches!(object, "selector" | "matchLabels" | "labelSelector" | "nodeSelector" | "secretKeyRef")
}

/// Whether the values of an object are quantities.
fn has_quantities(field: &str) -> bool {
    matches!(field, "requests" | "limits")
}

/// Whether a field is a quantity.
fn is_quantity(field: &str) -> bool {
    matches!(field, "sizeLimit" | "averageValue")
}

/// Whether quantities are equal. The API server may normalise them: `0.5` is `500m`.
fn is_same_quantity(live: &Value, declared: &Value) -> bool {
    let parsed = |value: &Value| value.as_str().and_then(|text| ParsedQuantity::try_from(text).ok());
    live == declared || parsed(live).zip(parsed(declared)).is_some_and(|(live, declared)| live == declared)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_of_other_managers_and_defaults_are_ignored() {
        let declared = json!({"spec": {"containers": [{"name": "a", "ports": [{"containerPort": 1}]}]}});
        let live = json!({"spec": {
            "dnsPolicy": "ClusterFirst",
            "containers": [{"name": "sidecar"}, {"name": "a", "image": "x", "ports": [{"containerPort": 1, "protocol": "TCP"}]}],
        }});
        assert!(contains(&live, &declared));
    }

    #[test]
    fn a_changed_or_removed_field_is_a_difference() {
        let declared = json!({"metadata": {"labels": {"a": "1"}}, "spec": {"replicas": 2}});
        assert!(!contains(&json!({"metadata": {"labels": {"a": "1"}}, "spec": {"replicas": 3}}), &declared));
        assert!(!contains(&json!({"metadata": {"labels": {}}, "spec": {"replicas": 2}}), &declared));
    }

    #[test]
    fn an_atomic_list_is_compared_as_a_whole() {
        let declared = json!({"args": ["serve"], "triggers": [{"type": "cpu"}]});
        assert!(contains(&declared, &declared));
        assert!(!contains(&json!({"args": ["serve", "--x"], "triggers": [{"type": "cpu"}]}), &declared));
        assert!(!contains(&json!({"args": ["serve"], "triggers": [{"type": "cpu"}, {"type": "cron"}]}), &declared));
    }

    #[test]
    fn an_atomic_map_is_compared_as_a_whole() {
        let declared = json!({"spec": {"selector": {"app": "a"}}});
        assert!(contains(&declared, &declared));
        assert!(!contains(&json!({"spec": {"selector": {"app": "a", "tier": "b"}}}), &declared));
    }

    #[test]
    fn quantities_are_compared_by_amount() {
        let declared = json!({"requests": {"cpu": "0.5", "memory": "1024Mi"}, "sizeLimit": "1Gi"});
        assert!(contains(&json!({"requests": {"cpu": "500m", "memory": "1Gi"}, "sizeLimit": "1024Mi"}), &declared));
        assert!(!contains(&json!({"requests": {"cpu": "501m", "memory": "1Gi"}, "sizeLimit": "1Gi"}), &declared));
        // A label that looks like a quantity is compared as text.
        assert!(!contains(&json!({"labels": {"version": "1000m"}}), &json!({"labels": {"version": "1"}})));
    }

    #[test]
    fn empty_values_may_be_omitted() {
        assert!(contains(&json!({"spec": {}}), &json!({"spec": {"nodeSelector": {}, "tolerations": []}})));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<bool>().prop_map(Value::from), any::<i32>().prop_map(Value::from), "[a-z]{0,3}".prop_map(Value::from)];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z]{1,3}", inner, 0..4).prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn an_object_with_added_fields_contains_the_original(declared in any_json(), added in any_json()) {
            prop_assert!(contains(&declared, &declared));
            let declared = json!({"declared": declared});
            let mut live = declared.clone();
            live["added"] = added;
            prop_assert!(contains(&live, &declared));
        }
    }
}
