//! Reconciles of unchanged Catalogs write nothing.

use std::collections::BTreeMap;

use catalog_tests::control_plane::{
    Operator,
    specs::{full, minimal, with},
};
use k8s_openapi::jiff::SignedDuration;
use serde_json::{Value, json};

async fn ready_operator(stem: &str, spec: &Value) -> Operator {
    let mut operator = Operator::new(stem).await;
    operator.apply(spec).await.unwrap();
    operator.reconcile_until_ready().await;
    operator.recorder().reset();
    operator
}

#[tokio::test]
async fn a_reconcile_of_an_unchanged_shop_writes_nothing() {
    for spec in [minimal(), full()] {
        let mut operator = ready_operator("unchanged", &spec).await;
        operator.reconcile().await;
        assert_eq!(operator.recorder().writes(), []);
        let mut verbs = BTreeMap::<_, usize>::new();
        for made in operator.recorder().calls() {
            *verbs.entry(made.call.verb.to_string()).or_default() += 1;
        }
        println!("calls of a reconcile without changes: {verbs:?}");
    }
}

#[tokio::test]
async fn a_reconcile_writes_nothing_until_a_signing_key_rotation_is_due() {
    let mut operator = ready_operator("time", &minimal()).await;
    operator.advance_clock(SignedDuration::from_hours(24 * 80));
    operator.reconcile().await;
    assert_eq!(operator.recorder().writes(), []);
    operator.advance_clock(SignedDuration::from_hours(24 * 11));
    operator.reconcile().await;
    let writes: Vec<_> = operator.recorder().writes().iter().map(ToString::to_string).collect();
    assert_eq!(writes, ["PUT secrets/shop-signing-keys"]);
}

#[tokio::test]
async fn a_reconcile_of_a_paused_catalog_writes_only_its_status() {
    let mut operator = ready_operator("paused", &full()).await;
    let spec = with(with(full(), "/image/tag", json!("9.9.9")), "/paused", json!(true));
    operator.apply(&spec).await.unwrap();
    operator.reconcile_until_ready().await;
    assert!(operator.recorder().writes().iter().all(|call| call.path == "catalogs/shop/status"), "{:?}", operator.recorder().writes());
}
