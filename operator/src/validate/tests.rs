//! Tests of whole Catalogs.

use proptest::prelude::*;

use super::*;
use crate::{
    build::samples::{VALUES, full_input, minimal_input},
    crd::{Quantity, SslMode, WorkerAutoscaling},
    observed::{ClaimFacts, SecretFacts},
};

fn problems(catalog: &Catalog, observed: &Observed) -> Vec<(String, Reason)> {
    match validate(catalog, observed) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.0.into_iter().map(|problem| (problem.path, problem.reason)).collect(),
    }
}

#[track_caller]
fn has_problem((catalog, observed): &(Catalog, Observed), path: &str, reason: Reason, message: &str) {
    let problems = validate(catalog, observed).expect_err("a problem").0;
    let found = problems.iter().any(|problem| problem.path == path && problem.reason == reason && problem.message.contains(message));
    assert!(found, "{path}, {reason:?}, {message:?} should be among {problems:#?}");
    for value in VALUES {
        assert!(!format!("{problems:?}").contains(value), "a problem must not contain a value of a Secret");
    }
}

#[test]
fn the_samples_are_valid() {
    for (catalog, observed) in [minimal_input(), full_input()] {
        assert_eq!(problems(&catalog, &observed), []);
    }
}

#[test]
fn each_missing_secret_is_reported_at_the_field_that_references_it() {
    let fields = [
        ("registry", "spec.image.pullSecrets"),
        ("log-settings", "spec.api.env[1].valueFrom.secretKeyRef.name"),
        ("shop-db", "spec.database.external.secretRef.name"),
        ("shop-db-ca", "spec.database.external.caSecretRef.name"),
        ("nats", "spec.messaging.external.credentialsSecretRef.name"),
        ("smtp", "spec.mail.credentialsSecretRef.name"),
        ("admin", "spec.auth.superuserSecretRef.name"),
    ];
    for (name, path) in fields {
        let (catalog, mut observed) = full_input();
        observed.referenced.remove(name);
        has_problem(&(catalog, observed), path, Reason::SecretNotFound, &format!("Secret {name} not found"));
    }
    let (catalog, observed) = full_input();
    let all = problems(&catalog, &Observed { referenced: [].into(), ..observed });
    assert_eq!(all.len(), fields.len() + 1, "all are reported together; two fields reference nats: {all:?}");
}

#[test]
fn each_missing_key_is_reported_at_the_field_that_references_it() {
    for (name, path) in [
        ("log-settings", "spec.api.env[1].valueFrom.secretKeyRef.key"),
        ("shop-db", "spec.database.external.keys.uri"),
        ("shop-db-ca", "spec.database.external.caSecretRef.key"),
        ("nats", "spec.messaging.external.caSecretRef.key"),
        ("smtp", "spec.mail.credentialsSecretRef.passwordKey"),
        ("admin", "spec.auth.superuserSecretRef"),
    ] {
        let (catalog, mut observed) = full_input();
        observed.referenced.insert(name.into(), SecretFacts::from([("other", "x")]));
        has_problem(&(catalog, observed), path, Reason::SecretKeyMissing, "(it has other)");
    }
}

#[test]
fn invalid_values_in_referenced_secrets_are_reported() {
    let superuser = |name, email, password| SecretFacts::from([("username", name), ("email", email), ("password", password)]);
    for (name, facts, path, message) in [
        ("shop-db", SecretFacts::from([("uri", "mysql://db")]), "spec.database.external.keys.uri", "a PostgreSQL URI"),
        ("shop-db", SecretFacts::from([("uri", "db.example.com")]), "spec.database.external.keys.uri", "a PostgreSQL URI"),
        ("shop-db-ca", SecretFacts::from([("ca.crt", "x")]), "spec.database.external.caSecretRef.key", "a certificate"),
        ("admin", superuser("a b", "a@b.example", "long enough"), "spec.auth.superuserSecretRef", "1 to 64 letters"),
        ("admin", superuser("admin", "a", "long enough"), "spec.auth.superuserSecretRef", "an address"),
        ("admin", superuser("admin", "a@b.example", "with newline\n"), "spec.auth.superuserSecretRef", "check for a newline"),
        ("admin", superuser("admin", "a@b.example", "short"), "spec.auth.superuserSecretRef", "8 to 256 characters"),
    ] {
        let (catalog, mut observed) = full_input();
        observed.referenced.insert(name.into(), facts);
        has_problem(&(catalog, observed), path, Reason::SecretValueInvalid, message);
    }
}

#[test]
fn a_nats_password_that_needs_escaping_in_a_url_is_invalid() {
    for password in ["p@ss/word", "12345678", "short"] {
        let (catalog, mut observed) = minimal_input();
        observed.generated.insert("shop-nats".into(), SecretFacts::from([("password", password)]));
        has_problem(&(catalog, observed), "spec.messaging.embedded", Reason::SecretValueInvalid, "letters and digits");
    }
}

#[test]
fn an_impossible_change_of_a_bound_volume_is_skipped_and_reported() {
    let (mut catalog, mut observed) = minimal_input();
    let bound = ClaimFacts {
        storage: "6Gi".into(),
        capacity: Some("6Gi".into()),
        is_bound: true,
        storage_class_name: Some("slow".into()),
        class_is_declared: true,
        ..ClaimFacts::default()
    };
    observed.claims.insert("shop-postgres-data".into(), bound.clone());
    let volume = |catalog: &Catalog, observed: &Observed| {
        let plan = validate(catalog, observed).unwrap();
        let DatabasePlan::Embedded(database) = plan.database else { panic!("it is embedded") };
        (database.volume, plan.skipped.into_iter().map(|skipped| format!("{}: {}", skipped.path, skipped.message)).collect::<Vec<_>>())
    };
    let (unchanged, skipped) = volume(&catalog, &observed);
    assert_eq!((unchanged.size, unchanged.storage_class), ("6Gi".into(), Some("slow".into())));
    let described = "PersistentVolumeClaim shop-postgres-data (storage class slow)";
    assert_eq!(skipped, [format!("spec.database.embedded.storage: {described} has 6Gi and cannot shrink: set at least 6Gi")]);

    let embedded = |catalog: &mut Catalog, size: &str, class: Option<&str>| {
        let embedded = catalog.spec.database.embedded.as_mut().unwrap();
        (embedded.storage, embedded.storage_class_name) = (size.into(), class.map(str::to_owned));
    };
    embedded(&mut catalog, "6144Mi", None);
    assert_eq!(volume(&catalog, &observed).1, Vec::<String>::new(), "the same size, and the class that the cluster chose");
    embedded(&mut catalog, "6Gi", Some("fast"));
    let (unchanged, skipped) = volume(&catalog, &observed);
    assert_eq!(unchanged.storage_class.as_deref(), Some("slow"));
    assert!(skipped[0].starts_with("spec.database.embedded.storageClassName: ") && skipped[0].contains("set slow"), "{skipped:?}");

    // The expansion failed. A smaller size is applied; for the present capacity the request is not changed.
    let failed = ClaimFacts { storage: "60Gi".into(), resize_error: Some("out of capacity".into()), ..bound };
    observed.claims.insert("shop-postgres-data".into(), failed);
    embedded(&mut catalog, "60Gi", None);
    let (unchanged, skipped) = volume(&catalog, &observed);
    assert_eq!(unchanged.size, "60Gi".into());
    assert!(skipped[0].contains(&format!("{described} has 6Gi and does not grow to 60Gi: out of capacity")), "{skipped:?}");
    embedded(&mut catalog, "8Gi", None);
    assert_eq!(volume(&catalog, &observed).0.size, "8Gi".into());
    embedded(&mut catalog, "6Gi", None);
    assert_eq!(volume(&catalog, &observed), (unchanged, Vec::new()));
}

#[test]
fn an_unbound_claim_does_not_limit_the_spec() {
    let (catalog, mut observed) = minimal_input();
    let unbound =
        ClaimFacts { storage: "60Gi".into(), storage_class_name: Some("typo".into()), class_is_declared: true, ..ClaimFacts::default() };
    observed.claims.insert("shop-postgres-data".into(), unbound);
    let plan = validate(&catalog, &observed).unwrap();
    let DatabasePlan::Embedded(database) = plan.database else { panic!("it is embedded") };
    assert_eq!((database.volume.size, database.volume.storage_class), ("5Gi".into(), None));
    assert_eq!(plan.skipped, []);
}

#[test]
fn values_that_need_a_parser_are_checked() {
    let is_invalid = |edit: fn(&mut Catalog), path: &str, message: &str| {
        let (mut catalog, observed) = minimal_input();
        edit(&mut catalog);
        has_problem(&(catalog, observed), path, Reason::InvalidValue, message);
    };
    is_invalid(|catalog| catalog.spec.currency = "XYZ".into(), "spec.currency", "ISO 4217");
    is_invalid(|catalog| catalog.spec.mail.from = "a..b@example.com".into(), "spec.mail.from", "e-mail address");
    is_invalid(|catalog| catalog.spec.auth.access_token_ttl = "2 fortnights".into(), "spec.auth.accessTokenTTL", "at most 24h");
    let resources = |requests: &str, limits: &str| crate::crd::Resources {
        requests: [("memory".into(), Quantity::from(requests))].into(),
        limits: [("memory".into(), Quantity::from(limits))].into(),
    };
    let (mut catalog, observed) = minimal_input();
    catalog.spec.tracker.pod.resources = Some(resources("2Gi", "1Gi"));
    has_problem(&(catalog.clone(), observed.clone()), "spec.tracker.resources.requests.memory", Reason::InvalidValue, "exceed the limit");
    catalog.spec.tracker.pod.resources = Some(resources("-1", "lots"));
    has_problem(&(catalog, observed), "spec.tracker.resources.limits.memory", Reason::InvalidValue, "is not a quantity");
}

#[test]
fn all_problems_are_reported_together() {
    let (mut catalog, mut observed) = full_input();
    catalog.spec.currency = "XYZ".into();
    catalog.spec.mail.from = String::new();
    observed.referenced.remove("shop-db");
    assert_eq!(problems(&catalog, &observed).len(), 3);
}

#[test]
fn without_keda_an_autoscaled_worker_has_fixed_replicas_and_the_plan_reports_it() {
    let (catalog, mut observed) = full_input();
    observed.keda = false;
    let plan = validate(&catalog, &observed).unwrap();
    assert_eq!(plan.workers().map(|(_, worker)| worker.scale), [WorkerScale::Fixed(1); 3]);
    assert_eq!(
        plan.skipped.iter().map(|skipped| skipped.path.as_str()).collect::<Vec<_>>(),
        ["spec.notifier.autoscaling", "spec.tracker.autoscaling", "spec.fulfiller.autoscaling"]
    );
}

#[test]
fn a_worker_with_rows_that_keda_cannot_count_does_not_scale_to_zero_and_the_plan_reports_it() {
    let scales = |plan: &Plan| plan.workers().map(|(_, worker)| worker.scale);
    let lag = |min: i32, threshold: i32| WorkerScale::Lag { min, max: 3, threshold };
    let (mut catalog, observed) = full_input();
    let scaled_to_zero = WorkerAutoscaling { min_replicas: 0, max_replicas: 3, lag_threshold: None };
    for worker in [&mut catalog.spec.notifier, &mut catalog.spec.tracker, &mut catalog.spec.fulfiller] {
        worker.autoscaling = Some(scaled_to_zero.clone());
    }
    let plan = validate(&catalog, &observed).unwrap();
    assert_eq!(scales(&plan), [lag(1, 50), lag(0, 1000), lag(1, 50)], "the tracker only processes messages");
    let reported: Vec<_> = plan.skipped.iter().map(|skipped| (skipped.path.as_str(), skipped.message.as_str())).collect();
    let why = "in a database with a CA: minReplicas is 1 instead of 0";
    assert_eq!(
        reported,
        [
            ("spec.notifier.autoscaling.minReplicas", format!("KEDA cannot count waiting mail {why}").as_str()),
            ("spec.fulfiller.autoscaling.minReplicas", format!("KEDA cannot count due orders {why}").as_str()),
        ]
    );
    let external = catalog.spec.database.external.as_mut().unwrap();
    (external.ca_secret_ref, external.ssl_mode) = (None, None);
    let plan = validate(&catalog, &observed).unwrap();
    assert_eq!((scales(&plan), plan.skipped.as_slice()), ([lag(0, 50), lag(0, 1000), lag(0, 50)], [].as_slice()));
}

#[test]
fn a_worker_does_not_scale_to_zero_when_keda_cannot_resolve_the_host_in_the_uri() {
    let (mut catalog, mut observed) = full_input();
    catalog.spec.notifier.autoscaling = Some(WorkerAutoscaling { min_replicas: 0, max_replicas: 3, lag_threshold: None });
    let external = catalog.spec.database.external.as_mut().unwrap();
    (external.ca_secret_ref, external.ssl_mode) = (None, None);
    for (host, min) in [("db", 1), ("db.shops", 0), ("db.shops.svc", 0), ("[2001:db8::1]", 0), ("10.0.0.1", 0)] {
        let uri = format!("postgres://shop:S3cret@{host}:5432/shop");
        observed.referenced.insert("shop-db".into(), SecretFacts::from([("uri", uri.as_str())]));
        let plan = validate(&catalog, &observed).unwrap();
        assert_eq!(plan.notifier.scale, WorkerScale::Lag { min, max: 3, threshold: 50 }, "{host}");
        let messages: Vec<_> = plan.skipped.iter().map(|skipped| skipped.message.as_str()).collect();
        assert_eq!(messages.iter().any(|message| message.contains("names a host without a namespace")), min == 1, "{messages:?}");
    }
}

#[test]
fn a_secret_of_the_zalando_operator_needs_no_uri() {
    let (mut catalog, mut observed) = full_input();
    let external = catalog.spec.database.external.as_mut().unwrap();
    external.host = Some("acid-shop".into());
    external.ssl_mode = Some(SslMode::Require);
    external.ca_secret_ref = None;
    observed.referenced.insert("shop-db".into(), SecretFacts::from([("username", "shop"), ("password", "p@ss:/word")]));
    let DatabasePlan::External(plan) = validate(&catalog, &observed).unwrap().database else { panic!("embedded") };
    assert!(matches!(plan.address, PostgresAddress::Parts { port: 5432, ref database, .. } if database == "catalog"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn without_keda_a_worker_has_its_minimum_of_replicas_but_at_least_one(min_replicas in 0_i32..1000) {
        let (mut catalog, mut observed) = minimal_input();
        catalog.spec.tracker.autoscaling = Some(WorkerAutoscaling { min_replicas, max_replicas: 1000, lag_threshold: None });
        prop_assert_eq!(validate(&catalog, &observed).unwrap().tracker.scale, WorkerScale::Fixed(min_replicas.max(1)));
        observed.keda = true;
        let lag = WorkerScale::Lag { min: min_replicas, max: 1000, threshold: 1000 };
        prop_assert_eq!(validate(&catalog, &observed).unwrap().tracker.scale, lag);
    }

    #[test]
    fn any_spec_results_in_a_plan_or_in_problems_with_field_paths(
        full in any::<bool>(),
        text in "\\PC{0,80}",
        number in any::<i32>(),
    ) {
        let (mut catalog, observed) = if full { full_input() } else { minimal_input() };
        let spec = &mut catalog.spec;
        spec.currency.clone_from(&text);
        spec.mail.from.clone_from(&text);
        spec.auth.access_token_ttl.clone_from(&text);
        spec.image.repository.clone_from(&text);
        spec.api.replicas = Some(number);
        spec.api.pod.resources = Some(crate::crd::Resources { limits: [(text.clone(), Quantity(text.clone()))].into(), ..Default::default() });
        if let Some(embedded) = &mut spec.database.embedded {
            embedded.storage = Quantity(text.clone());
        }
        if let Some(external) = &mut spec.messaging.external {
            external.url = Some(text.clone());
        }
        catalog.metadata.name = Some(text);
        match validate(&catalog, &observed) {
            Ok(plan) => drop(crate::build::build(&plan)),
            Err(problems) => prop_assert!(problems.0.iter().all(|problem| !problem.path.is_empty() && !problem.message.is_empty())),
        }
    }
}
