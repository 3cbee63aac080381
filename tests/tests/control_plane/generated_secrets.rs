//! A damaged entry of a generated Secret is reported or generated again, and costs no other entry.

use std::collections::BTreeMap;

use catalog_tests::control_plane::{Operator, operator::ReconcileOutcome, specs::full};
use k8s_openapi::{
    ByteString,
    api::{core::v1::Secret, events::v1::Event},
    jiff::SignedDuration,
};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

const SIGNING_KEYS: &str = "shop-signing-keys";

async fn ready_operator(stem: &str) -> Operator {
    let mut operator = Operator::new(stem).await;
    operator.apply(&full()).await.unwrap();
    operator.reconcile_until_ready().await;
    operator
}

async fn data(operator: &Operator, secret: &str) -> BTreeMap<String, ByteString> {
    operator.namespace().api::<Secret>().get(secret).await.unwrap().data.unwrap_or_default()
}

async fn edit(operator: &Operator, secret: &str, data: Value) {
    let patch = Patch::Merge(json!({"data": data}));
    operator.namespace().api::<Secret>().patch(secret, &PatchParams::default(), &patch).await.unwrap();
}

async fn reconcile(operator: &mut Operator) {
    let ended = operator.reconcile().await;
    assert!(matches!(ended, ReconcileOutcome::Succeeded), "{ended:?}");
}

#[tokio::test]
async fn a_damaged_signing_key_is_reported_and_the_good_key_is_kept() {
    let mut operator = ready_operator("damaged-key").await;
    let first = data(&operator, SIGNING_KEYS).await;
    operator.advance_clock(SignedDuration::from_hours(24 * 91));
    reconcile(&mut operator).await;
    let both = data(&operator, SIGNING_KEYS).await;
    let damaged = both.keys().find(|name| !first.contains_key(*name)).expect("a new key was generated").clone();
    edit(&operator, SIGNING_KEYS, json!({&damaged: ByteString(b"-----BEGIN PRIVATE KEY-----\nMIGH".to_vec())})).await;
    // Without the damage, the first key would be removed now.
    operator.advance_clock(SignedDuration::from_hours(24 * 31));
    for _ in 0..2 {
        reconcile(&mut operator).await;
    }

    let (degraded, ready) = (operator.condition("Degraded").await, operator.condition("Ready").await);
    assert_eq!((degraded.is_true, degraded.reason.as_str()), (true, "SigningKeyUnreadable"), "{degraded:?}");
    assert!(degraded.message.contains(&format!("Secret {SIGNING_KEYS}: {damaged} is not a private key")), "{degraded:?}");
    assert!(ready.is_true && ready.message.contains("see Degraded"), "{ready:?}");
    let after = data(&operator, SIGNING_KEYS).await;
    assert!(first.iter().all(|(name, key)| after.get(name) == Some(key)), "the good key is kept");
    assert!(after.contains_key(&damaged), "a user can still repair the entry");
    assert_eq!(after.len(), 3, "a new key is due");
    let events = operator.namespace().all::<Event>().await;
    let warnings = events.iter().filter(|event| event.reason.as_deref() == Some("SigningKeyUnreadable"));
    assert_eq!(warnings.map(|event| event.type_.as_deref()).collect::<Vec<_>>(), [Some("Warning")]);

    edit(&operator, SIGNING_KEYS, json!({&damaged: &both[&damaged]})).await;
    reconcile(&mut operator).await;
    assert_ne!(operator.condition("Degraded").await.reason, "SigningKeyUnreadable");
}

#[tokio::test]
async fn readable_keys_are_kept_for_the_lifetime_of_tokens_after_an_edit() {
    let mut operator = ready_operator("edited-keys").await;
    let first = data(&operator, SIGNING_KEYS).await;
    let (name, key) = first.first_key_value().expect("a key was generated");
    // As after the repair of the second one, in whose place the first one may have signed until now.
    edit(&operator, SIGNING_KEYS, json!({"20200101T000000Z-a.pem": key, "20210101T000000Z-b.pem": key})).await;
    reconcile(&mut operator).await;
    assert_eq!(data(&operator, SIGNING_KEYS).await.len(), 3);
    operator.advance_clock(SignedDuration::from_hours(24 * 31));
    reconcile(&mut operator).await;
    assert_eq!(data(&operator, SIGNING_KEYS).await.keys().collect::<Vec<_>>(), [name]);
}

#[tokio::test]
async fn a_missing_or_blank_password_is_generated() {
    let mut operator = ready_operator("blank-password").await;
    let secrets = ["shop-nats", "shop-superuser", "shop-postgres"];
    for blank in [Value::Null, json!("")] {
        edit(&operator, "shop-nats", json!({"password": blank})).await;
        edit(&operator, "shop-superuser", json!({"password": blank, "email": blank})).await;
        edit(&operator, "shop-postgres", json!({"catalog_a": blank})).await;
        operator.reconcile_until_ready().await;
        for secret in secrets {
            let data = data(&operator, secret).await;
            assert!(data.values().all(|ByteString(value)| !value.is_empty()), "{secret} has a blank value");
        }
        assert_eq!(data(&operator, "shop-superuser").await.len(), 3);
        assert!(data(&operator, "shop-nats").await.contains_key("password"));
        assert!(data(&operator, "shop-postgres").await.contains_key("catalog_a"));
    }
}
