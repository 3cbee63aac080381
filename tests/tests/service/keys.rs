//! Signing keys are published before they sign, and replaced without revoking sessions.

use std::path::Path;

use catalog_tests::{
    Api, Shop, eventually,
    people::ADA,
    scratch::Scratch,
    tokens::{self, new_key},
    wait::check,
};
use chrono::{TimeDelta, Utc};
use serde_json::json;

async fn shop_with(keys: &Path) -> Shop {
    Shop::builder().only_api().setting("AUTH_SIGNING_KEYS_DIR", keys.display().to_string()).start().await
}

async fn published(shop: &Shop) -> Vec<String> {
    let keys = shop.anyone.get("/.well-known/jwks.json").await.expect(200).json();
    let mut ids: Vec<_> = keys["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect();
    ids.sort_unstable();
    ids
}

async fn login(shop: &Shop) -> Api {
    let reply = shop.anyone.post("/v1/auth/login", &json!({"username": ADA.0, "password": ADA.2})).await.expect(200);
    shop.anyone.with_token(reply.json()["access_token"].as_str().unwrap())
}

fn signer(api: &Api) -> String {
    tokens::read(api.token()).0["kid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_new_key_is_published_at_once_and_signs_only_after_five_minutes() {
    let keys = Scratch::new(None);
    new_key(keys.path(), Utc::now() - TimeDelta::days(90), "first");
    let shop = shop_with(keys.path()).await;
    let before = login(&shop).await;
    assert_eq!(published(&shop).await.len(), 1);

    new_key(keys.path(), Utc::now(), "second");
    eventually("the new key is published", async || {
        let ids = published(&shop).await;
        check(ids.len() == 2, || ids)
    })
    .await;
    let after = login(&shop).await;
    assert_eq!(signer(&after), signer(&before), "verifiers may not have seen the new key yet");
    assert!(signer(&after).contains("first"));
}

#[tokio::test]
async fn the_newest_key_published_for_five_minutes_signs_and_older_tokens_stay_valid() {
    let keys = Scratch::new(None);
    let first = new_key(keys.path(), Utc::now() - TimeDelta::days(90), "first");
    let shop = shop_with(keys.path()).await;
    let before = login(&shop).await;

    new_key(keys.path(), Utc::now() - TimeDelta::minutes(6), "second");
    let after = eventually("the second key signs", async || {
        let api = login(&shop).await;
        if signer(&api).contains("second") { Ok(api) } else { Err(signer(&api)) }
    })
    .await;
    after.get("/v1/admins").await.expect(200);
    before.get("/v1/admins").await.expect(200);

    // Tokens of a removed key are rejected.
    std::fs::remove_file(first).unwrap();
    eventually("tokens of the removed key are rejected", async || {
        let status = before.get("/v1/admins").await.status;
        check(status == 401, || status)
    })
    .await;
    after.get("/v1/admins").await.expect(200);
    assert_eq!(published(&shop).await.len(), 1);
}

#[tokio::test]
async fn files_without_keys_are_ignored() {
    let keys = Scratch::new(None);
    new_key(keys.path(), Utc::now() - TimeDelta::days(90), "first");
    let shop =
        Shop::builder().only_api().allow_error_logs().setting("AUTH_SIGNING_KEYS_DIR", keys.path().display().to_string()).start().await;
    let before = login(&shop).await;
    std::fs::write(keys.path().join("20260101T000000Z-broken.pem"), "not a key").unwrap();
    std::fs::write(keys.path().join("notes.txt"), "not a key either").unwrap();
    // A valid key shows that the directory was read again.
    new_key(keys.path(), Utc::now(), "second");
    eventually("the good key is published", async || {
        let ids = published(&shop).await;
        check(ids.len() == 2, || ids)
    })
    .await;
    before.get("/v1/admins").await.expect(200);
    login(&shop).await.get("/v1/admins").await.expect(200);
}
