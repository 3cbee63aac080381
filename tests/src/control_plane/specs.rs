//! Specs of shops.

use serde_json::{Value, json};

/// The least that a spec has to say: everything is embedded, and there is a mail server.
pub fn minimal() -> Value {
    json!({
        "database": {"embedded": {}},
        "messaging": {"embedded": {}},
        "mail": {"server": "smtp.example.com", "from": "Catalog <catalog@example.com>"},
    })
}

/// The same with something else at a pointer (RFC 6901) such as `/api/replicas`; `null` removes it.
///
/// # Panics
/// If something on the way isn't an object.
pub fn with(mut spec: Value, pointer: &str, value: Value) -> Value {
    let mut parts: Vec<_> = pointer.split('/').skip(1).collect();
    let last = parts.pop().expect("a pointer names a field");
    let mut place = &mut spec;
    for part in parts {
        place = place.as_object_mut().expect("an object").entry(part).or_insert_with(|| json!({}));
    }
    let place = place.as_object_mut().expect("an object");
    if value.is_null() {
        place.remove(last)
    } else {
        place.insert(last.to_owned(), value)
    };
    spec
}

/// A spec that has nearly everything: embedded servers, credentials for mail, and every kind of scaling.
pub fn full() -> Value {
    json!({
        "image": {"repository": "registry.example.com/catalog", "tag": "1.2.3", "pullSecrets": [{"name": "registry"}]},
        "api": {
            "replicas": 2,
            "resources": {"requests": {"cpu": "0.5", "memory": "64Mi"}, "limits": {"memory": "1024Mi"}},
            "nodeSelector": {"example.com/pool": "web"},
            "env": [{"name": "ACCESS_LOG_SAMPLE", "value": "0.1"}],
        },
        "notifier": {"autoscaling": {"minReplicas": 0, "maxReplicas": 5, "lagThreshold": 50}},
        "tracker": {"autoscaling": {"minReplicas": 1, "maxReplicas": 8, "lagThreshold": 1000}},
        "database": {"embedded": {"storage": "5Gi", "storageClassName": "standard"}},
        "messaging": {"embedded": {"storage": "2Gi", "storageClassName": "standard"}},
        "mail": {
            "server": "smtp.example.com", "port": 465, "tls": "Tls", "from": "Catalog <catalog@example.com>",
            "credentialsSecretRef": {"name": "mail"},
        },
        "currency": "EUR",
    })
}
