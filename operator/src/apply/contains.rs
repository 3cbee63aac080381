//! Whether a live object contains what is declared of it.

use kube_quantity::ParsedQuantity;
use serde_json::{Map, Value};

/// Whether `live` says everything that `declared` says. What only `live` says (defaults of the API server,
/// fields of others) doesn't count, except in lists and maps that are one value as a whole.
#[must_use]
pub fn contains(live: &Value, declared: &Value) -> bool {
    within("", live, declared)
}

fn within(field: &str, live: &Value, declared: &Value) -> bool {
    match (live, declared) {
        (Value::Object(live), Value::Object(declared)) if is_whole(field) && live.len() > declared.len() => false,
        (Value::Object(live), Value::Object(declared)) => declared.iter().all(|(name, declared)| match live.get(name) {
            Some(live) if is_amounts(field) => same_amount(live, declared),
            Some(live) => within(name, live, declared),
            None => is_empty(declared),
        }),
        (Value::Array(live), Value::Array(declared)) => match keys(field) {
            Some(keys) => declared.iter().all(|declared| {
                let same = |live: &&Value| keys.iter().all(|key| live.get(key) == declared.get(key));
                live.iter().find(same).is_some_and(|live| within("", live, declared))
            }),
            None => live.len() == declared.len() && live.iter().zip(declared).all(|(live, declared)| within("", live, declared)),
        },
        (live, declared) => live == declared || (is_amount(field) && same_amount(live, declared)),
    }
}

/// The API server leaves out what is empty.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => Map::is_empty(fields),
        _ => false,
    }
}

/// What tells the items of a list apart: lists of `x-kubernetes-list-type: map` in the API server's OpenAPI
/// document, whose items may belong to several managers. (`ports` has a protocol in its key as well, which is
/// defaulted, so it is left out here: no object of ours has one port twice.)
fn keys(list: &str) -> Option<&'static [&'static str]> {
    match list {
        "containers" | "initContainers" | "env" | "volumes" | "imagePullSecrets" => Some(&["name"]),
        "volumeMounts" => Some(&["mountPath"]),
        "ports" => Some(&["containerPort", "port"]),
        "ownerReferences" => Some(&["uid"]),
        "topologySpreadConstraints" => Some(&["topologyKey", "whenUnsatisfiable"]),
        _ => None,
    }
}

/// Objects of `x-kubernetes-map-type: atomic` without defaults: another label in a selector selects other pods.
fn is_whole(object: &str) -> bool {
    matches!(object, "selector" | "matchLabels" | "labelSelector" | "nodeSelector" | "secretKeyRef")
}

/// Objects whose values are quantities.
fn is_amounts(field: &str) -> bool {
    matches!(field, "requests" | "limits")
}

/// Fields that are quantities.
fn is_amount(field: &str) -> bool {
    matches!(field, "sizeLimit" | "averageValue")
}

/// The API server may write a quantity in another way: `0.5` is `500m`.
fn same_amount(live: &Value, declared: &Value) -> bool {
    let parsed = |value: &Value| value.as_str().and_then(|text| ParsedQuantity::try_from(text).ok());
    live == declared || parsed(live).zip(parsed(declared)).is_some_and(|(live, declared)| live == declared)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_others_add_doesnt_count() {
        let declared = json!({"spec": {"containers": [{"name": "a", "ports": [{"containerPort": 1}]}]}});
        let live = json!({"spec": {
            "dnsPolicy": "ClusterFirst",
            "containers": [{"name": "sidecar"}, {"name": "a", "image": "x", "ports": [{"containerPort": 1, "protocol": "TCP"}]}],
        }});
        assert!(contains(&live, &declared));
    }

    #[test]
    fn a_field_that_was_changed_or_removed_counts() {
        let declared = json!({"metadata": {"labels": {"a": "1"}}, "spec": {"replicas": 2}});
        assert!(!contains(&json!({"metadata": {"labels": {"a": "1"}}, "spec": {"replicas": 3}}), &declared));
        assert!(!contains(&json!({"metadata": {"labels": {}}, "spec": {"replicas": 2}}), &declared));
    }

    #[test]
    fn a_list_that_is_one_value_is_compared_as_a_whole() {
        let declared = json!({"args": ["serve"], "triggers": [{"type": "cpu"}]});
        assert!(contains(&declared, &declared));
        assert!(!contains(&json!({"args": ["serve", "--x"], "triggers": [{"type": "cpu"}]}), &declared));
        assert!(!contains(&json!({"args": ["serve"], "triggers": [{"type": "cpu"}, {"type": "cron"}]}), &declared));
    }

    #[test]
    fn a_map_that_is_one_value_is_compared_as_a_whole() {
        let declared = json!({"spec": {"selector": {"app": "a"}}});
        assert!(contains(&declared, &declared));
        assert!(!contains(&json!({"spec": {"selector": {"app": "a", "tier": "b"}}}), &declared));
    }

    #[test]
    fn quantities_are_compared_by_amount() {
        let declared = json!({"requests": {"cpu": "0.5", "memory": "1024Mi"}, "sizeLimit": "1Gi"});
        assert!(contains(&json!({"requests": {"cpu": "500m", "memory": "1Gi"}, "sizeLimit": "1024Mi"}), &declared));
        assert!(!contains(&json!({"requests": {"cpu": "501m", "memory": "1Gi"}, "sizeLimit": "1Gi"}), &declared));
        // A version that looks like an amount is none.
        assert!(!contains(&json!({"labels": {"version": "1000m"}}), &json!({"labels": {"version": "1"}})));
    }

    #[test]
    fn what_is_empty_may_be_left_out() {
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
        fn everything_contains_itself_and_whatever_is_added_to_it(declared in any_json(), added in any_json()) {
            prop_assert!(contains(&declared, &declared));
            let declared = json!({"declared": declared});
            let mut live = declared.clone();
            live["added"] = added;
            prop_assert!(contains(&live, &declared));
        }
    }
}
