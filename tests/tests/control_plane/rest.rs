//! Quiet: a shop that is as declared costs no write.

use std::collections::BTreeMap;

use catalog_tests::control_plane::{
    Operator,
    specs::{full, minimal, with},
};
use k8s_openapi::jiff::SignedDuration;
use serde_json::{Value, json};

async fn settled(stem: &str, spec: &Value) -> Operator {
    let mut operator = Operator::new(stem).await;
    operator.apply(spec).await.unwrap();
    operator.settle().await;
    operator.wire().begin();
    operator
}

#[tokio::test]
async fn a_settled_shop_is_not_written_to() {
    for spec in [minimal(), full()] {
        let mut operator = settled("quiet", &spec).await;
        operator.reconcile().await;
        assert_eq!(operator.wire().writes(), []);
        let mut verbs = BTreeMap::<_, usize>::new();
        for made in operator.wire().calls() {
            *verbs.entry(made.call.verb.to_string()).or_default() += 1;
        }
        println!("calls of a reconcile at rest: {verbs:?}");
    }
}

#[tokio::test]
async fn time_alone_changes_nothing_until_a_key_is_due() {
    let mut operator = settled("time", &minimal()).await;
    operator.pass(SignedDuration::from_hours(24 * 80));
    operator.reconcile().await;
    assert_eq!(operator.wire().writes(), []);
    operator.pass(SignedDuration::from_hours(24 * 11));
    operator.reconcile().await;
    let writes: Vec<_> = operator.wire().writes().iter().map(ToString::to_string).collect();
    assert_eq!(writes, ["PUT secrets/shop-signing-keys"]);
}

#[tokio::test]
async fn a_paused_shop_is_not_written_to_but_for_its_status() {
    let mut operator = settled("paused", &full()).await;
    let spec = with(with(full(), "/image/tag", json!("9.9.9")), "/paused", json!(true));
    operator.apply(&spec).await.unwrap();
    operator.settle().await;
    assert!(operator.wire().writes().iter().all(|call| call.path == "catalogs/shop/status"), "{:?}", operator.wire().writes());
}
