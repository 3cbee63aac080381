use kube::core::DynamicObject;
use serde_json::json;

use super::*;
use crate::{
    build::samples,
    kinds::Kind,
    validate::{Problem, Reason},
};

fn deployment(name: &str, version: &str, wanted: i64, available: i64) -> DynamicObject {
    let metadata = json!({"name": name, "generation": 1, "labels": {"app.kubernetes.io/version": version}});
    let status = json!({"observedGeneration": 1, "replicas": available, "updatedReplicas": available, "availableReplicas": available});
    let spec = json!({"replicas": wanted});
    serde_json::from_value(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec, "status": status}))
        .unwrap()
}

fn job(end: Option<&str>) -> DynamicObject {
    let conditions: Vec<_> = end.into_iter().map(|end| json!({"type": end, "status": "True"})).collect();
    let metadata = json!({"name": "shop-migrate-1", "labels": {"app.kubernetes.io/component": "migrate"}});
    serde_json::from_value(json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "status": {"conditions": conditions}}))
        .unwrap()
}

fn stateful_set(name: &str, ready: i64) -> DynamicObject {
    let status = json!({"replicas": 1, "readyReplicas": ready});
    serde_json::from_value(json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name}, "status": status})).unwrap()
}

#[test]
fn a_catalog_is_ready_during_a_migration_while_the_previous_release_serves() {
    let (catalog, _) = samples::minimal_input();
    let ready = |api: Option<(i64, i64)>, tracker: i64, database: i64| {
        let deployments = [("shop-notifier", 1, 1), ("shop-tracker", 1, tracker), ("shop-fulfiller", 1, 1)].into_iter();
        let deployments = deployments.chain(api.map(|(wanted, ready)| ("shop-api", wanted, ready))).map(|(name, wanted, available)| {
            let mut deployment = deployment(name, "1.0", wanted, available);
            deployment.data["status"]["readyReplicas"] = available.into();
            (Kind::Deployment, deployment)
        });
        let sets = [("shop-postgres", database), ("shop-nats", 1)].map(|(name, ready)| (Kind::StatefulSet, stateful_set(name, ready)));
        let live = Live::of(deployments.chain(sets).chain([(Kind::Job, job(None))]));
        let outcome = Outcome::Migrating { job: "shop-migrate-1".into(), skipped: Vec::new() };
        let report = status(&catalog, &live, &outcome, Some(&Issues::default()), Timestamp::UNIX_EPOCH);
        let condition = |kind: &str| {
            let found = report.conditions.iter().find(|condition| condition.type_ == kind).unwrap();
            (found.status.clone(), found.reason.clone())
        };
        assert_eq!((condition("Progressing").0.as_str(), condition("Migrated").0.as_str()), ("True", "False"));
        condition("Ready")
    };
    assert_eq!(ready(Some((2, 1)), 1, 1), ("True".into(), "PreviousReleaseServes".into()));
    assert_eq!(ready(Some((2, 0)), 1, 1).0, "False", "no pod serves");
    assert_eq!(ready(Some((0, 0)), 1, 1).0, "False", "the API is scaled to 0 pods");
    assert_eq!(ready(None, 1, 1).0, "False", "there is no previous release");
    assert_eq!(ready(Some((2, 2)), 0, 1).0, "False", "a worker is not available");
    assert_eq!(ready(Some((2, 2)), 1, 0), ("False".into(), "Starting".into()), "the database isn't ready");
}

/// A shop with one pod of each role and these pods of PostgreSQL.
fn running(notifier: i64, database: i64) -> Vec<(Kind, DynamicObject)> {
    let roles = [("api", 1), ("notifier", notifier), ("tracker", 1), ("fulfiller", 1)];
    let deployments = roles.map(|(role, available)| {
        let mut deployment = deployment(&format!("shop-{role}"), "1.0", 1, available);
        deployment.data["status"]["readyReplicas"] = available.into();
        (Kind::Deployment, deployment)
    });
    let sets = [("postgres", database), ("nats", 1)].map(|(part, ready)| (Kind::StatefulSet, stateful_set(&format!("shop-{part}"), ready)));
    deployments.into_iter().chain(sets).chain([(Kind::Job, job(Some("Complete")))]).collect()
}

fn find<'a>(report: &'a CatalogStatus, kind: &str) -> (&'a str, &'a str) {
    let found = report.conditions.iter().find(|condition| condition.type_ == kind).unwrap();
    (&found.status, &found.reason)
}

fn rejected(restored: Option<Error>) -> Outcome {
    let problem = Problem { path: "spec".into(), reason: Reason::InvalidValue, message: "wrong".into() };
    Outcome::Rejected(Problems(vec![problem]), restored)
}

#[test]
fn a_shop_whose_objects_cannot_be_restored_is_not_ready_while_its_spec_is_rejected() {
    let (mut catalog, _) = samples::minimal_input();
    let live = Live::of(running(1, 1));
    let mut report = |outcome: &Outcome| {
        let report = status(&catalog, &live, outcome, Some(&Issues::default()), Timestamp::UNIX_EPOCH);
        catalog.status = Some(report.clone());
        report
    };
    assert_eq!(find(&report(&Outcome::Applied(Vec::new())), "Ready"), ("True", "Ready"));
    assert_eq!(find(&report(&rejected(None)), "Ready"), ("True", "LastAppliedSpecServes"));
    let taken = Error::name_taken(Kind::Service, "shop-api", "foreign".into());
    assert_eq!(find(&report(&rejected(Some(taken))), "Ready"), ("False", "NameTaken"));
}

#[test]
fn components_are_those_of_the_last_applied_spec_until_another_one_can_be_applied() {
    let (mut catalog, _) = samples::minimal_input();
    let (external, _) = samples::full_input();
    assert!(catalog.spec.database.embedded.is_some() && external.spec.database.embedded.is_none());
    let healthy = Live::of(running(1, 1));
    catalog.status = Some(status(&catalog, &healthy, &Outcome::Applied(Vec::new()), Some(&Issues::default()), Timestamp::UNIX_EPOCH));
    catalog.spec.database = external.spec.database;
    let without_database = Live::of(running(1, 0));
    for outcome in [rejected(None), Outcome::Migrating { job: "shop-migrate-2".into(), skipped: Vec::new() }] {
        let report = status(&catalog, &without_database, &outcome, Some(&Issues::default()), Timestamp::UNIX_EPOCH);
        assert_eq!(find(&report, "DatabaseReady"), ("False", "Starting"), "{outcome:?}");
        assert_eq!(find(&report, "Ready").0, "False", "{outcome:?}");
    }
}

#[test]
fn a_worker_whose_first_pods_start_affects_neither_ready_nor_degraded() {
    let (mut catalog, _) = samples::minimal_input();
    let mut objects = running(0, 1);
    for (_, object) in objects.iter_mut().filter(|(_, object)| object.name_any() == "shop-notifier") {
        object.data["spec"]["replicas"] = 0.into();
    }
    let asleep = Live::of(objects);
    catalog.spec.notifier.replicas = Some(0);
    let report =
        |catalog: &Catalog, live: &Live, outcome: &Outcome| status(catalog, live, outcome, Some(&Issues::default()), Timestamp::UNIX_EPOCH);
    catalog.status = Some(report(&catalog, &asleep, &Outcome::Applied(Vec::new())));
    catalog.spec.notifier.replicas = Some(1);
    let starting = Live::of(running(0, 1));
    let migrating = Outcome::Migrating { job: "shop-migrate-1".into(), skipped: Vec::new() };
    for outcome in [Outcome::Applied(Vec::new()), migrating] {
        let report = report(&catalog, &starting, &outcome);
        assert_eq!(find(&report, "NotifierAvailable"), ("False", "ScalingUp"), "{outcome:?}");
        assert_eq!((find(&report, "Ready").0, find(&report, "Degraded").0), ("True", "False"), "{outcome:?}");
    }
}

#[test]
fn degraded_is_unchanged_while_pods_cannot_be_listed() {
    let (mut catalog, _) = samples::minimal_input();
    let live = Live::of([(Kind::Job, job(Some("Failed")))]);
    let issues = Issues::find(&live, &[], &[], Timestamp::UNIX_EPOCH);
    let degraded = |catalog: &Catalog, issues: Option<&Issues>| {
        let report = status(catalog, &live, &Outcome::Applied(Vec::new()), issues, Timestamp::UNIX_EPOCH);
        (report.conditions.iter().find(|condition| condition.type_ == "Degraded").cloned(), report)
    };
    let (before, report) = degraded(&catalog, Some(&issues));
    assert_eq!(before.as_ref().map(|before| (before.status.as_str(), before.reason.as_str())), Some(("True", "MigrationFailed")));
    catalog.status = Some(report);
    assert_eq!(degraded(&catalog, None).0, before);
    assert_eq!(degraded(&catalog, Some(&Issues::default())).0.unwrap().status, "False");
}

#[test]
fn the_version_is_unchanged_during_a_rollout() {
    let (mut catalog, _) = samples::minimal_input();
    let stages = [
        ("1.0", 1, 0, None),
        ("1.0", 1, 1, Some("1.0")),
        ("1.0", 2, 1, Some("1.0")),
        ("1.1", 2, 1, Some("1.0")),
        ("1.1", 2, 2, Some("1.1")),
    ];
    for (version, wanted, available, expected) in stages {
        let all = ["shop-api", "shop-notifier", "shop-tracker", "shop-fulfiller"]
            .map(|name| (Kind::Deployment, deployment(name, version, wanted, available)));
        let report = status(&catalog, &Live::of(all), &Outcome::Applied(Vec::new()), Some(&Issues::default()), Timestamp::UNIX_EPOCH);
        assert_eq!(report.version.as_deref(), expected, "{available} of {wanted} pods of {version}");
        catalog.status = Some(report);
    }
}
