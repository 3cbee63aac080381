//! Reverting a spec restores the objects of that spec, and no edit deletes data.

use catalog_tests::control_plane::{
    Operator,
    data_objects::data_objects,
    snapshot::{self, Snapshot, differences},
    specs::any_spec,
};
use proptest::{
    prelude::{Strategy, any},
    test_runner::{Config, TestCaseError, TestRunner},
};
use serde_json::Value;

/// The number of random pairs of specs. `PROPTEST_CASES` overrides it.
const PAIRS: u32 = 16;

/// Applies A, B and A again, and compares the objects of A.
async fn assert_reverted(a: &Value, b: &Value) -> Result<(), TestCaseError> {
    let mut operator = Operator::new("path").await;
    operator.apply(a).await.expect("A is valid");
    operator.reconcile_until_ready().await;
    let (before, data) = (snapshot::take(operator.namespace()).await, data_objects(operator.namespace()).await);
    operator.apply(b).await.expect("B is valid");
    operator.reconcile_until_ready().await;
    operator.apply(a).await.expect("A is still valid");
    operator.reconcile_until_ready().await;
    let after = data_objects(operator.namespace()).await;
    for (name, content) in &data {
        proptest::prop_assert_eq!(after.get(name), Some(content), "{} has changed", name);
    }
    let (before, after) = (without_replicas(before), without_replicas(snapshot::take(operator.namespace()).await));
    // Data that B created is kept.
    let after = after.into_iter().filter(|(name, _)| before.contains_key(name) || !is_data(name)).collect();
    let differences = differences(&before, &after);
    proptest::prop_assert!(differences.is_empty(), "{}", differences.join("\n"));
    Ok(())
}

fn is_data(name: &str) -> bool {
    name.starts_with("Secret/") || name.starts_with("PersistentVolumeClaim/")
}

/// Removes the replicas of autoscaled Deployments, and what the status derives from them.
fn without_replicas(mut snapshot: Snapshot) -> Snapshot {
    let autoscaled: Vec<_> = ["HorizontalPodAutoscaler", "ScaledObject"]
        .iter()
        .flat_map(|kind| snapshot.keys().filter_map(move |name| name.strip_prefix(&format!("{kind}/")).map(str::to_owned)))
        .collect();
    for name in autoscaled {
        if let Some(Value::Object(spec)) = snapshot.get_mut(&format!("Deployment/{name}")).map(|deployment| &mut deployment["spec"]) {
            spec.remove("replicas");
        }
    }
    // The status counts the ready pods.
    if let Some(Value::Object(status)) = snapshot.get_mut("Catalog/shop").map(|catalog| &mut catalog["status"]) {
        status.remove("replicas");
        for condition in status.get_mut("conditions").and_then(Value::as_array_mut).into_iter().flatten() {
            condition.as_object_mut().map(|condition| condition.remove("message"));
            if condition["reason"] == "ScaledToZero" {
                condition["reason"] = "Available".into();
            }
        }
    }
    snapshot
}

#[test]
fn reverting_a_spec_restores_its_objects_and_keeps_data() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(PAIRS);
    let config = Config { cases, max_shrink_iters: 30, failure_persistence: None, ..Config::default() };
    let pairs = (any_spec(), any_spec(), any::<bool>()).prop_map(|(a, b, is_small)| {
        // Half of the pairs differ in one field only, as most edits do.
        let b = if is_small { with_one_field_of(&a, &b) } else { b };
        (a, b)
    });
    TestRunner::new(config).run(&pairs, |(a, b)| runtime.block_on(assert_reverted(&a, &b))).unwrap_or_else(|error| panic!("{error}"));
    println!("{cases} pairs of specs");
}

/// Returns `a` with the first field of `b` that differs.
fn with_one_field_of(a: &Value, b: &Value) -> Value {
    let mut edited = a.clone();
    let keys = ["fulfiller", "tracker", "notifier", "api", "image", "auth", "mail", "messaging", "database", "deletionPolicy"];
    if let Some(key) = keys.iter().find(|key| a.get(key) != b.get(key)) {
        edited[key] = b[key].clone();
    }
    edited
}
