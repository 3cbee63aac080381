//! Path-independent: A, then B, then A again is A. And nothing on the way takes data away.

use catalog_tests::control_plane::{
    Operator,
    kept::kept,
    snapshot::{self, Snapshot, differences},
    specs::any_spec,
};
use proptest::{
    prelude::{Strategy, any},
    test_runner::{Config, TestCaseError, TestRunner},
};
use serde_json::Value;

/// Random pairs. More find more: `PROPTEST_CASES=500`.
const PAIRS: u32 = 16;

/// A, B and A again.
async fn there_and_back(a: &Value, b: &Value) -> Result<(), TestCaseError> {
    let mut operator = Operator::new("path").await;
    operator.apply(a).await.expect("A is valid");
    operator.settle().await;
    let (before, data) = (snapshot::take(operator.namespace()).await, kept(operator.namespace()).await);
    operator.apply(b).await.expect("B is valid");
    operator.settle().await;
    operator.apply(a).await.expect("A is still valid");
    operator.settle().await;
    let after = kept(operator.namespace()).await;
    for (name, content) in &data {
        proptest::prop_assert_eq!(after.get(name), Some(content), "{} is not what it was", name);
    }
    let (before, after) = (declared(before), declared(snapshot::take(operator.namespace()).await));
    // What B brought and nobody may take away again isn't a difference.
    let after = after.into_iter().filter(|(name, _)| before.contains_key(name) || !is_kept(name)).collect();
    let differences = differences(&before, &after);
    proptest::prop_assert!(differences.is_empty(), "{}", differences.join("\n"));
    Ok(())
}

fn is_kept(name: &str) -> bool {
    name.starts_with("Secret/") || name.starts_with("PersistentVolumeClaim/")
}

/// Without how many pods an autoscaler has made of it.
fn declared(mut snapshot: Snapshot) -> Snapshot {
    let autoscaled: Vec<_> = ["HorizontalPodAutoscaler", "ScaledObject"]
        .iter()
        .flat_map(|kind| snapshot.keys().filter_map(move |name| name.strip_prefix(&format!("{kind}/")).map(str::to_owned)))
        .collect();
    for name in autoscaled {
        if let Some(Value::Object(spec)) = snapshot.get_mut(&format!("Deployment/{name}")).map(|deployment| &mut deployment["spec"]) {
            spec.remove("replicas");
        }
    }
    // How many pods are ready depends on that.
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
fn a_then_b_then_a_again_is_a() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(PAIRS);
    let config = Config { cases, max_shrink_iters: 30, failure_persistence: None, ..Config::default() };
    let pairs = (any_spec(), any_spec(), any::<bool>()).prop_map(|(a, b, nearly)| {
        // Half of the pairs differ in one thing only, as edits do.
        let b = if nearly { one_thing_of(&a, &b) } else { b };
        (a, b)
    });
    TestRunner::new(config).run(&pairs, |(a, b)| runtime.block_on(there_and_back(&a, &b))).unwrap_or_else(|error| panic!("{error}"));
    println!("{cases} pairs of specs");
}

/// `a` with the first part of `b` that differs.
fn one_thing_of(a: &Value, b: &Value) -> Value {
    let mut edited = a.clone();
    let keys = ["fulfiller", "tracker", "notifier", "api", "image", "auth", "mail", "messaging", "database", "deletionPolicy"];
    if let Some(key) = keys.iter().find(|key| a.get(key) != b.get(key)) {
        edited[key] = b[key].clone();
    }
    edited
}
