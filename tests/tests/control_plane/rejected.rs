//! The API server rejects invalid specs with messages that say how to fix them.

use catalog_tests::control_plane::{
    ApiServer, Namespace,
    operator::{NAME, catalog},
    specs::{minimal, with},
};
use serde_json::{Value, json};

/// Applies an object. Returns the message if the API server rejects it.
async fn rejection(namespace: &Namespace, object: &Value) -> Option<String> {
    match namespace.apply(object).await {
        Ok(_) => None,
        Err(kube::Error::Api(status)) => Some(status.message),
        Err(other) => panic!("{other}"),
    }
}

/// Applies the minimal spec with each of these edits, and asserts that it is rejected with a message that contains the text.
async fn assert_each_is_rejected(stem: &str, edits: &[(&str, Value, &str)]) {
    let namespace = Namespace::new(ApiServer::shared(), stem).await;
    assert_eq!(rejection(&namespace, &catalog(&minimal())).await, None, "the minimal spec is accepted");
    // Another name than that of the existing Catalog, so that each object is validated as a new one.
    assert_edits_are_rejected(&namespace, "another", &minimal(), edits).await;
}

async fn assert_edits_are_rejected(namespace: &Namespace, name: &str, before: &Value, edits: &[(&str, Value, &str)]) {
    let mut wrong = Vec::new();
    for (pointer, value, expected) in edits {
        let mut object = catalog(&with(before.clone(), pointer, value.clone()));
        object["metadata"]["name"] = json!(name);
        match rejection(namespace, &object).await {
            Some(message) if message.contains(expected) => println!("{pointer} = {value}: {message}"),
            Some(message) => wrong.push(format!("{pointer} = {value}\n  actual    {message}\n  expected  {expected}")),
            None => wrong.push(format!("{pointer} = {value} is accepted")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_spec_without_exactly_one_database_is_rejected() {
    let external = json!({"secretRef": {"name": "db"}});
    assert_each_is_rejected(
        "databases",
        &[
            ("/database/external", external, "set exactly one of database.embedded"),
            ("/database", json!({}), "set exactly one of database.embedded"),
            ("/database", Value::Null, "spec.database is required"),
            ("/database", json!({"external": {}}), "spec.database.external.secretRef: Required value"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_spec_without_exactly_one_messaging_is_rejected() {
    assert_each_is_rejected(
        "messagings",
        &[
            (
                "/messaging/external",
                json!({"url": "nats://nats.example.com:4222", "monitoringEndpoint": "nats.example.com:8222"}),
                "set exactly one of messaging.embedded",
            ),
            ("/messaging", json!({}), "set exactly one of messaging.embedded"),
            ("/messaging", Value::Null, "spec.messaging is required"),
            ("/messaging", json!({"external": {"url": "http://nats.example.com"}}), "spec.messaging.external.url"),
        ],
    )
    .await;
}

#[tokio::test]
async fn invalid_mail_settings_are_rejected() {
    assert_each_is_rejected(
        "mail",
        &[
            ("/mail", Value::Null, "name the SMTP server"),
            ("/mail/server", Value::Null, "mail.server is required"),
            ("/mail/server", json!(""), "spec.mail.server"),
            ("/mail/server", json!("not a host"), "spec.mail.server"),
            ("/mail/server", json!("https://smtp.example.com"), "spec.mail.server"),
            ("/mail/server", json!("smtp.example.com:587"), "spec.mail.server"),
            ("/mail/from", json!("nobody"), "spec.mail.from"),
            ("/mail/from", Value::Null, "mail.from is required"),
            ("/mail/port", json!(0), "spec.mail.port"),
            ("/mail/port", json!(65_536), "spec.mail.port"),
            ("/mail/tls", json!("starttls"), "supported values: \"None\", \"StartTls\", \"Tls\""),
        ],
    )
    .await;
}

#[tokio::test]
async fn invalid_replicas_and_autoscaling_bounds_are_rejected() {
    let api = |min: i32, max: i32| json!({"minReplicas": min, "maxReplicas": max, "targetCPUUtilizationPercentage": 70});
    let worker = |min: i32, max: i32| json!({"minReplicas": min, "maxReplicas": max, "lagThreshold": 50});
    assert_each_is_rejected(
        "counts",
        &[
            ("/api", json!({"replicas": 2, "autoscaling": api(1, 2)}), "not both"),
            ("/notifier", json!({"replicas": 1, "autoscaling": worker(0, 2)}), "not both"),
            ("/tracker", json!({"replicas": 1, "autoscaling": worker(0, 2)}), "not both"),
            ("/fulfiller", json!({"replicas": 1, "autoscaling": worker(0, 2)}), "not both"),
            ("/api/replicas", json!(-1), "spec.api.replicas"),
            ("/notifier/replicas", json!(-1), "spec.notifier.replicas"),
            ("/api/autoscaling", api(3, 2), "minReplicas"),
            ("/tracker/autoscaling", worker(3, 2), "minReplicas"),
            ("/api/autoscaling", api(0, 2), "spec.api.autoscaling.minReplicas"),
            ("/api/replicas", json!("2"), "spec.api.replicas"),
        ],
    )
    .await;
}

#[tokio::test]
async fn invalid_quantities_are_rejected() {
    let mut edits = Vec::new();
    for (pointer, path) in [
        ("/database/embedded/storage", "spec.database.embedded.storage"),
        ("/messaging/embedded/storage", "spec.messaging.embedded.storage"),
    ] {
        for size in ["-1Gi", "0", "", "5 gigabytes", "5GB!", "2Pi", "99999999999999Ei"] {
            edits.push((pointer, json!(size), path));
        }
    }
    edits.push(("/api/resources", json!({"requests": {"cpu": "-1"}}), "spec.api.resources.requests.cpu"));
    edits.push(("/api/resources", json!({"limits": {"memory": -1}}), "spec.api.resources.limits.memory"));
    edits.push(("/api/resources", json!({"requests": {"cpu": "much"}}), "spec.api.resources"));
    assert_each_is_rejected("sizes", &edits).await;
}

#[tokio::test]
async fn invalid_durations_currencies_and_images_are_rejected() {
    assert_each_is_rejected(
        "values",
        &[
            ("/currency", json!("euro"), "spec.currency"),
            ("/auth/accessTokenTTL", json!("15 minutes or so"), "spec.auth.accessTokenTTL"),
            ("/auth/accessTokenTTL", json!("-15m"), "spec.auth.accessTokenTTL"),
            ("/auth/refreshTokenTTL", json!("0s"), "spec.auth.refreshTokenTTL"),
            ("/auth/signingKeyRotation", json!("soon"), "spec.auth.signingKeyRotation"),
            ("/image/repository", json!(""), "spec.image.repository"),
            ("/image/repository", json!("not an image"), "spec.image.repository"),
            ("/image/tag", json!("not a tag"), "spec.image.tag"),
            ("/image/pullPolicy", json!("Sometimes"), "spec.image.pullPolicy"),
            ("/deletionPolicy", json!("Forget"), "supported values: \"Retain\", \"Delete\""),
        ],
    )
    .await;
}

#[tokio::test]
async fn unknown_fields_are_rejected() {
    assert_each_is_rejected(
        "unknown",
        &[("/api/replcas", json!(2), "field not declared in schema"), ("/monitoring", json!({}), "field not declared in schema")],
    )
    .await;
}

#[tokio::test]
async fn catalog_names_that_are_invalid_prefixes_of_object_names_are_rejected() {
    let namespace = Namespace::new(ApiServer::shared(), "names").await;
    let mut wrong = Vec::new();
    for (name, expected) in [
        (&*"a".repeat(41), "use at most 40 characters"),
        ("shop.example.com", "use only lower-case letters, digits and '-'"),
        ("1shop", "start with a letter"),
    ] {
        let mut object = catalog(&minimal());
        object["metadata"]["name"] = json!(name);
        match rejection(&namespace, &object).await {
            Some(message) if message.contains(expected) => println!("{name}: {message}"),
            other => wrong.push(format!("{name}: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let mut object = catalog(&minimal());
    object["metadata"]["name"] = json!("a".repeat(40));
    assert_eq!(rejection(&namespace, &object).await, None);
}

/// A rule of the CRD cannot know whether a claim is bound; `volumes.rs` tests what a bound claim keeps.
#[tokio::test]
async fn the_schema_accepts_every_change_of_a_volume_size() {
    let namespace = Namespace::new(ApiServer::shared(), "grow").await;
    for size in ["5Gi", "5120Mi", "6Gi", "4Gi"] {
        let spec = with(minimal(), "/database/embedded/storage", json!(size));
        assert_eq!(rejection(&namespace, &catalog(&spec)).await, None, "{size} of {NAME}");
    }
}
