//! The condition `Complete` always exists, and reports what of the spec and its annotations is not applied.

use catalog_operator::{
    build::keda::ScaledObject,
    crd::{Catalog, ScheduledRotations},
};
use catalog_tests::control_plane::{
    Operator,
    operator::NAME,
    specs::{full, minimal, with},
};
use k8s_openapi::{
    api::events::v1::Event,
    jiff::{SignedDuration, Timestamp},
};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

const ROTATE: &str = "catalog.rs/rotate-database-password";

async fn ready_operator(stem: &str) -> Operator {
    let mut operator = Operator::new(stem).await;
    operator.apply(&full()).await.unwrap();
    operator.reconcile_until_ready().await;
    operator
}

async fn annotate(operator: &Operator, annotations: Value) {
    let catalogs = operator.namespace().api::<Catalog>();
    let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
    catalogs.patch(NAME, &PatchParams::default(), &patch).await.unwrap();
}

async fn notes(operator: &Operator, reason: &str) -> Vec<String> {
    let events = operator.namespace().all::<Event>().await.into_iter();
    events.filter(|event| event.reason.as_deref() == Some(reason)).filter_map(|event| event.note).collect()
}

#[tokio::test]
async fn complete_is_unknown_until_the_first_spec_is_applied() {
    let mut operator = Operator::new("complete").await;
    operator.apply(&with(minimal(), "/paused", json!(true))).await.unwrap();
    operator.reconcile().await;
    let paused = operator.condition("Complete").await;
    assert!(!paused.is_true && paused.reason == "Paused" && paused.message.contains("no generation was applied"), "{paused:?}");
    operator.apply(&minimal()).await.unwrap();
    operator.reconcile().await;
    assert_eq!(operator.condition("Complete").await.reason, "Migrating");
    operator.reconcile_until_ready().await;
    assert!(operator.condition("Complete").await.is_true);
    operator.apply(&with(minimal(), "/paused", json!(true))).await.unwrap();
    operator.reconcile().await;
    assert!(operator.condition("Complete").await.is_true, "only spec.paused was changed");
}

#[tokio::test]
async fn an_object_that_blocks_a_rotation_is_named_after_fifteen_minutes() {
    let mut operator = ready_operator("blocked-rotation").await;
    let foreign = json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject",
        "metadata": {"name": "reports", "labels": {
            "app.kubernetes.io/instance": NAME, "app.kubernetes.io/managed-by": "catalog-operator",
        }},
        "spec": {"scaleTargetRef": {"name": "reports"}, "triggers": [{"type": "postgresql", "metadata": {"userName": "catalog_a"}}]},
    });
    operator.namespace().apply(&foreign).await.unwrap();
    operator.advance_clock(SignedDuration::from_hours(2));
    annotate(&operator, json!({ROTATE: (Timestamp::now() + SignedDuration::from_hours(1)).to_string()})).await;
    operator.reconcile_until_ready().await;
    operator.advance_clock(SignedDuration::from_mins(14));
    operator.reconcile_until_ready().await;
    assert!(operator.condition("Complete").await.is_true, "rotations take some minutes");
    operator.advance_clock(SignedDuration::from_mins(2));
    operator.reconcile_until_ready().await;
    let blocked = operator.condition("Complete").await;
    assert!(!blocked.is_true && blocked.reason == "RotationBlocked", "{blocked:?}");
    let expected = "ScaledObject reports uses login role catalog_a: change it to catalog_b or delete ScaledObject reports";
    assert!(blocked.message.contains(expected), "{blocked:?}");
    assert_eq!(notes(&operator, "RotationBlocked").await, [blocked.message]);
    operator.namespace().api::<ScaledObject>().delete("reports", &DeleteParams::default()).await.unwrap();
    operator.reconcile_until_ready().await;
    assert!(operator.condition("Complete").await.is_true);
}

#[tokio::test]
async fn a_value_that_abandons_no_installation_is_reported_once() {
    let mut operator = ready_operator("abandons-nothing").await;
    for value in ["bogus", "bogus2"] {
        annotate(&operator, json!({"catalog.rs/abandon-installation": value})).await;
        operator.reconcile_until_ready().await;
        operator.reconcile_until_ready().await;
        let ignored = operator.condition("Complete").await;
        assert!(!ignored.is_true && ignored.reason == "Skipped", "{ignored:?}");
        assert!(ignored.message.contains(&format!("{value:?} isn't the uid")), "{ignored:?}");
        assert_eq!(notes(&operator, "Skipped").await.iter().filter(|note| **note == ignored.message).count(), 1);
    }
    annotate(&operator, json!({"catalog.rs/abandon-installation": null})).await;
    operator.reconcile_until_ready().await;
    assert!(operator.condition("Complete").await.is_true);
}

#[tokio::test]
async fn a_rotation_that_is_requested_for_later_is_shown_in_the_status() {
    let mut operator = ready_operator("scheduled").await;
    let at = "2099-01-01T00:00:00Z";
    annotate(&operator, json!({ROTATE: at, "catalog.rs/rotate-signing-key": at})).await;
    operator.reconcile_until_ready().await;
    let scheduled = async |operator: &Operator| operator.catalog().await.unwrap().status.unwrap().scheduled_rotations;
    let ScheduledRotations { signing_keys, database_password } = scheduled(&operator).await.unwrap();
    assert_eq!([signing_keys, database_password].map(|time| time.unwrap().0.to_string()), [at, at]);
    let mut notes = notes(&operator, "RotationScheduled").await;
    notes.sort();
    assert!(notes.len() == 2 && notes.iter().all(|note| note.contains(at)), "{notes:?}");
    annotate(&operator, json!({ROTATE: null})).await;
    operator.reconcile_until_ready().await;
    assert_eq!(scheduled(&operator).await.unwrap().database_password, None);
    annotate(&operator, json!({"catalog.rs/rotate-signing-key": null})).await;
    operator.reconcile_until_ready().await;
    assert_eq!(scheduled(&operator).await, None);
}
