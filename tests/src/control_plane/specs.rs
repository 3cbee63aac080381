//! Specs of Catalogs.

use proptest::prelude::{BoxedStrategy, Just, Strategy, prop_oneof};
use serde_json::{Value, json};

/// Returns the smallest valid spec: embedded servers and a mail server.
pub fn minimal() -> Value {
    json!({
        "database": {"embedded": {}},
        "messaging": {"embedded": {}},
        "mail": {"server": "smtp.example.com", "from": "Catalog <catalog@example.com>"},
    })
}

/// Sets the value at a pointer (RFC 6901) such as `/api/replicas`; `null` removes it.
///
/// # Panics
/// If a parent isn't an object.
pub fn with(mut spec: Value, pointer: &str, value: Value) -> Value {
    let mut parts: Vec<_> = pointer.split('/').skip(1).collect();
    let last = parts.pop().expect("a pointer names a field");
    let mut parent = &mut spec;
    for part in parts {
        parent = parent.as_object_mut().expect("an object").entry(part).or_insert_with(|| json!({}));
    }
    let parent = parent.as_object_mut().expect("an object");
    if value.is_null() {
        parent.remove(last)
    } else {
        parent.insert(last.to_owned(), value)
    };
    spec
}

/// Returns a spec with most fields: embedded servers, mail credentials, and fixed and autoscaled roles.
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
        "fulfiller": {"autoscaling": {"minReplicas": 0, "maxReplicas": 4, "lagThreshold": 50}},
        "database": {"embedded": {"storage": "5Gi", "storageClassName": "standard"}},
        "messaging": {"embedded": {"storage": "2Gi", "storageClassName": "standard"}},
        "mail": {
            "server": "smtp.example.com", "port": 465, "tls": "Tls", "from": "Catalog <catalog@example.com>",
            "credentialsSecretRef": {"name": "mail"},
        },
        "currency": "EUR",
    })
}

/// Returns [`full`] with an autoscaled API and without references to Secrets of the user.
pub fn scaled() -> Value {
    let mut spec = with(with(full(), "/mail/credentialsSecretRef", Value::Null), "/image/pullSecrets", Value::Null);
    spec["api"] = json!({"autoscaling": {"minReplicas": 2, "maxReplicas": 10, "targetCPUUtilizationPercentage": 70}});
    spec
}

/// Generates specs that are valid after each other: volume sizes are constant because volumes cannot shrink.
pub fn any_spec() -> impl Strategy<Value = Value> {
    let role = |scaling: BoxedStrategy<Value>| (scaling, any_pod()).prop_map(|(scaling, pod)| merged(scaling, pod));
    let count = || (0..4_i32).prop_map(|replicas| json!({"replicas": replicas}));
    let api = prop_oneof![
        Just(json!({})),
        count(),
        (1..3_i32, 3..6_i32).prop_map(|(min, max)| {
            json!({"autoscaling": {"minReplicas": min, "maxReplicas": max, "targetCPUUtilizationPercentage": 70}})
        })
    ];
    let worker = || {
        prop_oneof![
            Just(json!({})),
            count(),
            (0..3_i32, 3..6_i32)
                .prop_map(|(min, max)| json!({"autoscaling": {"minReplicas": min, "maxReplicas": max, "lagThreshold": 50}}))
        ]
        .boxed()
    };
    let database = prop_oneof![Just(json!({"embedded": {}})), Just(json!({"external": {"secretRef": {"name": "database"}}}))];
    let external = json!({"external": {"url": "nats://nats.example.com:4222", "monitoringEndpoint": "nats.example.com:8222"}});
    let messaging = prop_oneof![Just(json!({"embedded": {}})), Just(external)];
    let mail = prop_oneof![Just(json!({})), Just(json!({"credentialsSecretRef": {"name": "mail"}}))]
        .prop_map(|credentials| merged(minimal()["mail"].clone(), credentials));
    let image = prop_oneof![Just(json!({})), Just(json!({"tag": "1.2.3"})), Just(json!({"tag": "1.2.4", "pullPolicy": "Always"}))];
    let auth = prop_oneof![Just(json!({})), Just(json!({"accessTokenTTL": "30m"}))];
    let policy = prop_oneof![Just("Retain"), Just("Delete")];
    let workers = (role(worker()), role(worker()), role(worker()));
    (role(api.boxed()), workers, database, messaging, mail, image, auth, policy).prop_map(
        |(api, (notifier, tracker, fulfiller), database, messaging, mail, image, auth, policy)| {
            json!({
                "api": api, "notifier": notifier, "tracker": tracker, "fulfiller": fulfiller,
                "database": database, "messaging": messaging, "mail": mail, "image": image, "auth": auth, "deletionPolicy": policy,
            })
        },
    )
}

fn any_pod() -> impl Strategy<Value = Value> {
    let parts = [
        json!({"resources": {"requests": {"cpu": "0.25", "memory": "0.5Gi"}}}),
        json!({"env": [
            {"name": "RUST_LOG", "value": "debug"},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "mail", "key": "password"}}},
        ]}),
        json!({"annotations": {"example.com/team": "shelves"}}),
        json!({"nodeSelector": {"example.com/pool": "web"}}),
        json!({"tolerations": [{"key": "example.com/spot", "operator": "Exists"}]}),
    ];
    proptest::sample::subsequence(parts.to_vec(), 0..=2).prop_map(|parts| parts.into_iter().fold(json!({}), merged))
}

fn merged(mut all: Value, more: Value) -> Value {
    if let (Some(all), Value::Object(more)) = (all.as_object_mut(), more) {
        all.extend(more);
    }
    all
}
