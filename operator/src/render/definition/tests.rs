//! Each rule of the definition, once kept and once broken.

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

fn refusals(catalog: &Value) -> Vec<Problem> {
    problems(&defaulted(catalog))
}

#[track_caller]
fn is_refused(pointer: &str, value: Value, path: &str, says: &str) {
    let refusals = refusals(&with(pointer, value.clone()));
    let found = refusals.iter().any(|problem| problem.path == path && problem.message.contains(says));
    assert!(found, "{pointer} = {value} should be refused at {path} with {says:?}, got {refusals:?}");
}

#[track_caller]
fn is_taken(pointer: &str, value: Value) {
    assert_eq!(refusals(&with(pointer, value.clone())), [], "{pointer} = {value}");
}

#[test]
fn the_samples_are_taken() {
    for sample in [
        include_str!("../../../samples/minimal.yaml"),
        include_str!("../../../samples/full.yaml"),
        include_str!("../../../samples/catalog.yaml"),
        include_str!("../../../../tests/cluster/manifests/shop.yaml"),
    ] {
        assert_eq!(refusals(&serde_norway::from_str(sample).unwrap()), []);
    }
}

#[test]
fn names_leave_room_for_derived_ones() {
    is_taken("/metadata/name", json!("a".repeat(40)));
    is_refused("/metadata/name", json!("a".repeat(41)), "metadata.name", "at most 40 characters");
    for name in ["1shop", "shop.eu", "shop-"] {
        is_refused("/metadata/name", json!(name), "metadata.name", "start with a letter");
    }
}

#[test]
fn there_is_exactly_one_database_and_one_messaging() {
    let external = json!({"secretRef": {"name": "db"}});
    is_taken("/spec/database", json!({"external": external}));
    is_taken("/spec/database", json!({"external": external, "embedded": null}));
    is_refused("/spec/database", json!({"external": external, "embedded": {}}), "spec.database", "exactly one");
    is_refused("/spec/database", json!({}), "spec.database", "exactly one");
    is_refused("/spec/messaging", json!({}), "spec.messaging", "exactly one");
    is_refused("/spec/database", Value::Null, "spec", "spec.database is required");
    is_refused("/spec/messaging", Value::Null, "spec", "spec.messaging is required");
}

#[test]
fn there_is_a_mail_server_with_a_plain_host_name_and_a_sender() {
    is_refused("/spec/mail", Value::Null, "spec", "name the SMTP server");
    is_refused("/spec/mail/server", Value::Null, "spec.mail", "mail.server is required");
    is_refused("/spec/mail/from", Value::Null, "spec.mail", "mail.from is required");
    for server in ["smtp.example.com", "mail", "10.0.0.1", "2001:db8::1", "smtp.mail.svc.cluster.local."] {
        is_taken("/spec/mail/server", json!(server));
    }
    for server in ["", "smtp://mail", "mail:25", "ma il", "-mail", "a..b"] {
        is_refused("/spec/mail/server", json!(server), "spec.mail.server", "use a host name");
    }
    for from in ["shop@example.com", "The Shop <shop@example.com>", "Ünal's <a@b.example>"] {
        is_taken("/spec/mail/from", json!(from));
    }
    for from in ["", "shop", "Shop <shop>", "a@b@c", "a@b.example\nBcc: c@d.example"] {
        is_refused("/spec/mail/from", json!(from), "spec.mail.from", "use an e-mail address");
    }
    let credentials = json!({"server": "a", "from": "a@b.example", "tls": "None", "credentialsSecretRef": {"name": "smtp"}});
    is_refused("/spec/mail", credentials, "spec.mail", "without encryption");
}

#[test]
fn pods_are_counted_or_scaled_but_not_both() {
    let autoscaling = json!({"minReplicas": 1, "maxReplicas": 3});
    for role in ["api", "notifier", "tracker", "fulfiller"] {
        let (pointer, path) = (format!("/spec/{role}"), format!("spec.{role}"));
        is_taken(&pointer, json!({"replicas": 3}));
        is_taken(&pointer, json!({"autoscaling": autoscaling}));
        is_refused(&pointer, json!({"replicas": 3, "autoscaling": autoscaling}), &path, "not both");
        let upside_down = json!({"autoscaling": {"minReplicas": 4, "maxReplicas": 3}});
        is_refused(&pointer, upside_down, &format!("{path}.autoscaling"), "must not exceed maxReplicas");
        is_refused(&pointer, json!({"replicas": -1}), &format!("{path}.replicas"), "minimum");
    }
    let unmeasurable = json!({"autoscaling": autoscaling, "resources": {"requests": {"memory": "64Mi"}}});
    is_refused("/spec/api", unmeasurable, "spec.api", "requests.cpu");
}

#[test]
fn lag_can_only_be_read_where_it_is_told() {
    for worker in ["notifier", "tracker", "fulfiller"] {
        let mut catalog = with("/spec/messaging", json!({"external": {"url": "nats://nats:4222"}}));
        assert_eq!(refusals(&catalog), []);
        catalog["spec"][worker] = json!({"autoscaling": {"maxReplicas": 3}});
        assert!(refusals(&catalog)[0].message.contains("monitoringEndpoint"), "{worker}");
        catalog["spec"]["messaging"]["external"]["monitoringEndpoint"] = json!("nats:8222");
        assert_eq!(refusals(&catalog), []);
    }
}

#[test]
fn nats_is_named_by_urls_and_its_secrets_are_in_secrets() {
    let url = |url: &str| json!({"external": {"url": url}});
    for good in ["nats://a:4222", "tls://a.example,nats://[2001:db8::1]:4222"] {
        is_taken("/spec/messaging", url(good));
    }
    for bad in ["", "a:4222", "http://a", "nats://a:4222, nats://b"] {
        is_refused("/spec/messaging", url(bad), "spec.messaging.external.url", "use nats://host:port");
    }
    is_refused("/spec/messaging", url("nats://user:word@a:4222"), "spec.messaging.external.url", "must not contain credentials");
    is_taken("/spec/messaging", json!({"external": {"urlSecretRef": {"name": "nats", "key": "url"}}}));
    is_refused("/spec/messaging", json!({"external": {}}), "spec.messaging.external", "exactly one");
}

#[test]
fn sizes_are_positive() {
    let path = "spec.database.embedded.storage";
    for bad in ["0", "-5Gi", "much", "5 Gi", ""] {
        is_refused("/spec/database/embedded/storage", json!(bad), path, "use a size such as 5Gi");
    }
    is_refused("/spec/messaging/embedded/storage", json!("1Gi"), "spec.messaging.embedded.storage", "at least 2Gi");
}

#[test]
fn the_currency_can_be_edited_until_the_shop_was_applied() {
    let rejected = |status: Value, currency: &str| {
        let mut catalogs = [minimal(), with("/spec/currency", json!(currency))].map(|catalog| defaulted(&catalog));
        // An edit of the spec leaves the status as it is.
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
fn durations_are_spelled_as_go_and_catalog_read_them() {
    is_taken("/spec/auth", json!({"accessTokenTTL": "1h30m", "refreshTokenTTL": "9600h"}));
    for bad in ["30d", "15", "-1h", "", "1h 5m"] {
        is_refused("/spec/auth", json!({"accessTokenTTL": bad}), "spec.auth.accessTokenTTL", "use a duration");
    }
    is_refused("/spec/auth", json!({"accessTokenTTL": "25h"}), "spec.auth.accessTokenTTL", "from 1m to 24h");
    is_refused("/spec/auth", json!({"signingKeyRotation": "30m"}), "spec.auth.signingKeyRotation", "from 1h to 87600h");
}

#[test]
fn variables_of_the_operator_are_its_own() {
    let env = |name: &str| json!({"env": [{"name": name, "value": "x"}]});
    is_taken("/spec/api", env("RUST_LOG"));
    is_taken("/spec/api", env("DATABASE_MAX_CONNECTIONS"));
    is_taken("/spec/api", env("CART_TTL"));
    is_taken("/spec/fulfiller", env("FULFILMENT_DELAY"));
    for reserved in ["DATABASE_URL", "DATABASE_URL_FILE", "MAIL_TLS", "PGPASSWORD", "SUPERUSER_EMAIL"] {
        is_refused("/spec/api", env(reserved), "spec.api.env[0].name", "the operator sets this variable");
    }
    is_refused("/spec/api", env("1X"), "spec.api.env[0].name", "letters, digits");
    is_refused("/spec/api", json!({"env": [{"name": "A"}]}), "spec.api.env[0]", "exactly one of value and valueFrom");
    is_refused("/spec/api", json!({"annotations": {"catalog.rs/x": "y"}}), "spec.api.annotations", "reserved for the operator");
}

#[test]
fn images_are_repository_and_tag() {
    for good in ["catalog", "registry.example.com:5000/shop/catalog", "localhost/catalog_x"] {
        is_taken("/spec/image", json!({"repository": good}));
    }
    for bad in ["catalog:1.0", "registry:5000/catalog:1", "Catalog", "", "a b"] {
        is_refused("/spec/image", json!({"repository": bad}), "spec.image.repository", "use a repository without a tag");
    }
    is_refused("/spec/image", json!({"tag": "a b"}), "spec.image.tag", "in a tag");
}

#[test]
fn unknown_fields_and_wrong_kinds_of_values_are_named() {
    is_refused("/spec/tracker", json!({"replica": 1}), "spec.tracker", "replica");
    is_refused("/spec/deletionPolicy", json!("Keep"), "spec.deletionPolicy", "Keep");
    is_refused("/spec/mail/port", json!(0), "spec.mail.port", "minimum");
}
