//! Tests each rule of the CRD with a valid and an invalid value.

#![allow(clippy::needless_pass_by_value, reason = "values are written where they are used")]

use serde_json::{Value, json};

use super::*;

fn minimal() -> Value {
    json!({
        "apiVersion": "catalog.rs/v1alpha1",
        "kind": "Catalog",
        "metadata": {"name": "shop"},
        "spec": {
            "database": {"embedded": {"storage": "5Gi"}},
            "messaging": {"embedded": {}},
            "mail": {"server": "smtp.example.com", "from": "shop@example.com"}
        }
    })
}

fn with(pointer: &str, value: Value) -> Value {
    let mut catalog = minimal();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    catalog.pointer_mut(parent).unwrap()[field] = value;
    catalog
}

fn problems_of(catalog: &Value) -> Vec<Problem> {
    problems(&defaulted(catalog))
}

#[track_caller]
fn is_rejected(pointer: &str, value: Value, path: &str, message: &str) {
    let problems = problems_of(&with(pointer, value.clone()));
    let found = problems.iter().any(|problem| problem.path == path && problem.message.contains(message));
    assert!(found, "{pointer} = {value} should be rejected at {path} with {message:?}, got {problems:?}");
}

#[track_caller]
fn is_accepted(pointer: &str, value: Value) {
    assert_eq!(problems_of(&with(pointer, value.clone())), [], "{pointer} = {value}");
}

#[test]
fn the_samples_are_accepted() {
    for sample in [
        include_str!("../../../samples/minimal.yaml"),
        include_str!("../../../samples/full.yaml"),
        include_str!("../../../samples/catalog.yaml"),
        include_str!("../../../../deploy/cluster/manifests/shop.yaml"),
    ] {
        assert_eq!(problems_of(&serde_norway::from_str(sample).unwrap()), []);
    }
}

#[test]
fn names_are_limited_so_that_derived_names_are_valid() {
    is_accepted("/metadata/name", json!("a".repeat(40)));
    is_rejected("/metadata/name", json!("a".repeat(41)), "metadata.name", "at most 40 characters");
    for name in ["1shop", "shop.eu", "shop-"] {
        is_rejected("/metadata/name", json!(name), "metadata.name", "start with a letter");
    }
}

#[test]
fn exactly_one_database_and_one_messaging_are_required() {
    let external = json!({"secretRef": {"name": "db"}});
    is_accepted("/spec/database", json!({"external": external}));
    is_accepted("/spec/database", json!({"external": external, "embedded": null}));
    is_rejected("/spec/database", json!({"external": external, "embedded": {}}), "spec.database", "exactly one");
    is_rejected("/spec/database", json!({}), "spec.database", "exactly one");
    is_rejected("/spec/messaging", json!({}), "spec.messaging", "exactly one");
    is_rejected("/spec/database", Value::Null, "spec", "spec.database is required");
    is_rejected("/spec/messaging", Value::Null, "spec", "spec.messaging is required");
}

#[test]
fn a_mail_server_with_a_host_name_and_a_sender_is_required() {
    is_rejected("/spec/mail", Value::Null, "spec", "name the SMTP server");
    is_rejected("/spec/mail/server", Value::Null, "spec.mail", "mail.server is required");
    is_rejected("/spec/mail/from", Value::Null, "spec.mail", "mail.from is required");
    for server in ["smtp.example.com", "mail", "10.0.0.1", "2001:db8::1", "smtp.mail.svc.cluster.local."] {
        is_accepted("/spec/mail/server", json!(server));
    }
    for server in ["", "smtp://mail", "mail:25", "ma il", "-mail", "a..b"] {
        is_rejected("/spec/mail/server", json!(server), "spec.mail.server", "use a host name");
    }
    for from in ["shop@example.com", "The Shop <shop@example.com>", "Ünal's <a@b.example>"] {
        is_accepted("/spec/mail/from", json!(from));
    }
    for from in ["", "shop", "Shop <shop>", "a@b@c", "a@b.example\nBcc: c@d.example"] {
        is_rejected("/spec/mail/from", json!(from), "spec.mail.from", "use an e-mail address");
    }
    let credentials = json!({"server": "a", "from": "a@b.example", "tls": "None", "credentialsSecretRef": {"name": "smtp"}});
    is_rejected("/spec/mail", credentials, "spec.mail", "without encryption");
}

#[test]
fn replicas_and_autoscaling_exclude_each_other() {
    let autoscaling = json!({"minReplicas": 1, "maxReplicas": 3});
    for role in ["api", "notifier", "tracker", "fulfiller"] {
        let (pointer, path) = (format!("/spec/{role}"), format!("spec.{role}"));
        is_accepted(&pointer, json!({"replicas": 3}));
        is_accepted(&pointer, json!({"autoscaling": autoscaling}));
        is_rejected(&pointer, json!({"replicas": 3, "autoscaling": autoscaling}), &path, "not both");
        let minimum_above_maximum = json!({"autoscaling": {"minReplicas": 4, "maxReplicas": 3}});
        is_rejected(&pointer, minimum_above_maximum, &format!("{path}.autoscaling"), "must not exceed maxReplicas");
        is_rejected(&pointer, json!({"replicas": -1}), &format!("{path}.replicas"), "minimum");
    }
    let without_cpu_request = json!({"autoscaling": autoscaling, "resources": {"requests": {"memory": "64Mi"}}});
    is_rejected("/spec/api", without_cpu_request, "spec.api", "requests.cpu");
}

#[test]
fn autoscaling_by_lag_requires_a_monitoring_endpoint() {
    for worker in ["notifier", "tracker", "fulfiller"] {
        let mut catalog = with("/spec/messaging", json!({"external": {"url": "nats://nats:4222"}}));
        assert_eq!(problems_of(&catalog), []);
        catalog["spec"][worker] = json!({"autoscaling": {"maxReplicas": 3}});
        assert!(problems_of(&catalog)[0].message.contains("monitoringEndpoint"), "{worker}");
        catalog["spec"]["messaging"]["external"]["monitoringEndpoint"] = json!("nats:8222");
        assert_eq!(problems_of(&catalog), []);
    }
}

#[test]
fn nats_urls_are_valid_and_contain_no_credentials() {
    let url = |url: &str| json!({"external": {"url": url}});
    for good in ["nats://a:4222", "tls://a.example,nats://[2001:db8::1]:4222"] {
        is_accepted("/spec/messaging", url(good));
    }
    for bad in ["", "a:4222", "http://a", "nats://a:4222, nats://b"] {
        is_rejected("/spec/messaging", url(bad), "spec.messaging.external.url", "use nats://host:port");
    }
    is_rejected("/spec/messaging", url("nats://user:word@a:4222"), "spec.messaging.external.url", "must not contain credentials");
    is_accepted("/spec/messaging", json!({"external": {"urlSecretRef": {"name": "nats", "key": "url"}}}));
    is_rejected("/spec/messaging", json!({"external": {}}), "spec.messaging.external", "exactly one");
}

#[test]
fn volume_sizes_are_positive() {
    let path = "spec.database.embedded.storage";
    for bad in ["0", "-5Gi", "much", "5 Gi", ""] {
        is_rejected("/spec/database/embedded/storage", json!(bad), path, "use a size such as 5Gi");
    }
    is_rejected("/spec/messaging/embedded/storage", json!("1Gi"), "spec.messaging.embedded.storage", "at least 2Gi");
}

#[test]
fn the_currency_cannot_be_changed_after_the_shop_was_applied() {
    let rejected = |status: Value, currency: &str| {
        let mut catalogs = [minimal(), with("/spec/currency", json!(currency))].map(|catalog| defaulted(&catalog));
        // A change of the spec doesn't change the status.
        for catalog in &mut catalogs {
            catalog["status"] = status.clone();
        }
        let [old, new] = catalogs;
        Validator::new().validate(&SCHEMA, &new, Some(&old)).is_err()
    };
    let applied = json!({"lastApplied": {"spec": "{}"}});
    assert!(!rejected(json!({}), "USD"));
    assert!(rejected(applied.clone(), "USD"));
    assert!(!rejected(applied, "EUR"));
}

#[test]
fn durations_have_units_that_go_and_catalog_parse() {
    is_accepted("/spec/auth", json!({"accessTokenTTL": "1h30m", "refreshTokenTTL": "9600h"}));
    for bad in ["30d", "15", "-1h", "", "1h 5m"] {
        is_rejected("/spec/auth", json!({"accessTokenTTL": bad}), "spec.auth.accessTokenTTL", "use a duration");
    }
    is_rejected("/spec/auth", json!({"accessTokenTTL": "25h"}), "spec.auth.accessTokenTTL", "from 1m to 24h");
    is_rejected("/spec/auth", json!({"signingKeyRotation": "30m"}), "spec.auth.signingKeyRotation", "from 1h to 87600h");
}

#[test]
fn variables_of_the_operator_are_reserved() {
    let env = |name: &str| json!({"env": [{"name": name, "value": "x"}]});
    is_accepted("/spec/api", env("RUST_LOG"));
    is_accepted("/spec/api", env("DATABASE_MAX_CONNECTIONS"));
    is_accepted("/spec/api", env("CART_TTL"));
    is_accepted("/spec/fulfiller", env("FULFILMENT_DELAY"));
    for reserved in ["DATABASE_URL", "DATABASE_URL_FILE", "MAIL_TLS", "PGPASSWORD", "SUPERUSER_EMAIL"] {
        is_rejected("/spec/api", env(reserved), "spec.api.env[0].name", "the operator sets this variable");
    }
    is_rejected("/spec/api", env("1X"), "spec.api.env[0].name", "letters, digits");
    is_rejected("/spec/api", json!({"env": [{"name": "A"}]}), "spec.api.env[0]", "exactly one of value and valueFrom");
    is_rejected("/spec/api", json!({"annotations": {"catalog.rs/x": "y"}}), "spec.api.annotations", "reserved for the operator");
}

#[test]
fn repository_and_tag_are_separate_fields() {
    for good in ["catalog", "registry.example.com:5000/shop/catalog", "localhost/catalog_x"] {
        is_accepted("/spec/image", json!({"repository": good}));
    }
    for bad in ["catalog:1.0", "registry:5000/catalog:1", "Catalog", "", "a b"] {
        is_rejected("/spec/image", json!({"repository": bad}), "spec.image.repository", "use a repository without a tag");
    }
    is_rejected("/spec/image", json!({"tag": "a b"}), "spec.image.tag", "in a tag");
}

#[test]
fn unknown_fields_and_invalid_values_are_reported_with_their_paths() {
    is_rejected("/spec/tracker", json!({"replica": 1}), "spec.tracker", "replica");
    is_rejected("/spec/deletionPolicy", json!("Keep"), "spec.deletionPolicy", "Keep");
    is_rejected("/spec/mail/port", json!(0), "spec.mail.port", "minimum");
}
