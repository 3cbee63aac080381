//! Customers: registration, their own account, and what admins read and change.

mod administration;
mod registering;

use catalog_tests::{
    Api, Reply, Shop,
    people::{ADA, CAROL, DAVE},
};
use reqwest::Method;
use serde_json::{Value, json};

const ME: &str = "/v1/customers/me";
const PASSWORD: &str = "a passphrase of mine";

fn newcomer(username: &str) -> Value {
    json!({"username": username, "email": format!("{username}@home.test"), "password": PASSWORD, "full_name": "C. Newcomer"})
}

async fn login(shop: &Shop, username: &str, password: &str) -> Reply {
    shop.anyone.post("/v1/auth/login", &json!({"username": username, "password": password})).await
}

async fn sign_in(shop: &Shop, username: &str, password: &str) -> (Api, Value) {
    let pair = login(shop, username, password).await.expect(200).json();
    (shop.anyone.with_token(pair["access_token"].as_str().unwrap()), pair)
}

async fn refresh(shop: &Shop, pair: &Value) -> Reply {
    shop.anyone.post("/v1/auth/refresh", &json!({"refresh_token": pair["refresh_token"]})).await
}

/// Registers a customer. Returns its JSON, a signed-in client and its path under `/v1/customers`.
async fn register(shop: &Shop, username: &str) -> (Value, Api, String) {
    let customer = shop.anyone.post("/v1/customers", &newcomer(username)).await.expect(201).json();
    let (api, _) = sign_in(shop, username, PASSWORD).await;
    let path = format!("/v1/customers/{}", customer["id"].as_str().unwrap());
    (customer, api, path)
}

fn names(page: &Value) -> Vec<String> {
    page["items"].as_array().unwrap().iter().map(|one| one["username"].as_str().unwrap().to_owned()).collect()
}

/// All customers but those that every shop has.
async fn newcomers(shop: &Shop) -> Vec<String> {
    let mut all = names(&shop.ada.get("/v1/customers?limit=200").await.expect(200).json());
    all.retain(|name| name != CAROL.0 && name != DAVE.0);
    all
}

#[tokio::test]
async fn a_patch_changes_its_fields_and_a_new_password_ends_the_sessions() {
    let shop = Shop::api().await;
    let (before, clara, path) = register(&shop, "clara").await;
    let after = clara.patch(ME, &json!({"email": "c@home.test", "full_name": null})).await.expect(200).json();
    assert_eq!(after["email"], "c@home.test");
    assert!(after.get("full_name").is_none(), "{after}");
    for field in ["id", "username", "created_at", "is_active"] {
        assert_eq!(after[field], before[field]);
    }
    assert_eq!(clara.get(ME).await.expect(200).json(), after);
    assert_eq!(shop.ada.get(&path).await.expect(200).json(), after);
    // Setting the current value changes nothing.
    assert_eq!(clara.patch(ME, &json!({"email": "c@home.test"})).await.expect(200).json(), after);
    assert_eq!(clara.patch(ME, &json!({})).await.expect(200).json(), after);

    let (elsewhere, pair) = sign_in(&shop, "clara", PASSWORD).await;
    let patch = json!({"username": "claraine", "password": "a better passphrase"});
    let merge = clara.request(Method::PATCH, ME).body("application/merge-patch+json", patch.to_string());
    assert_eq!(merge.await.expect(200).json()["username"], "claraine");
    for old in [&clara, &elsewhere] {
        old.get(ME).await.problem(401, "token-revoked");
    }
    refresh(&shop, &pair).await.problem(401, "token-revoked");
    login(&shop, "claraine", PASSWORD).await.problem(401, "invalid-credentials");
    login(&shop, "clara", "a better passphrase").await.problem(401, "invalid-credentials");
    sign_in(&shop, "claraine", "a better passphrase").await.0.get(ME).await.expect(200);
}

#[tokio::test]
async fn taken_invalid_and_read_only_values_cannot_be_patched() {
    let shop = Shop::api().await;
    let (before, clara, _) = register(&shop, "clara").await;
    register(&shop, "dan").await;
    let both = json!({"username": "Dan", "email": "DAN@home.test"});
    assert_eq!(clara.patch(ME, &both).await.expect(409).pointers(), ["#/username", "#/email"]);
    assert_eq!(clara.patch(ME, &json!({"username": ADA.0})).await.expect(409).pointers(), ["#/username"]);
    for (field, value) in [
        ("username", Value::Null),
        ("username", json!("with space")),
        ("email", json!("no-address")),
        ("password", json!("short")),
        ("full_name", json!("")),
        ("is_superuser", json!(true)),
        ("is_active", json!(true)),
        ("role", json!("admin")),
        ("created_at", json!("2020-01-01T00:00:00Z")),
        ("nickname", json!("c")),
    ] {
        let reply = clara.patch(ME, &json!({ (field): value })).await;
        reply.problem(422, "invalid");
        assert_eq!(reply.pointers(), [format!("#/{field}")], "{field}: {}", reply.text());
    }
    clara.patch(ME, &json!([])).await.problem(422, "invalid");
    assert_eq!(clara.get(ME).await.expect(200).json(), before);
}

#[tokio::test]
async fn a_deleted_account_has_no_access_and_its_username_can_be_used_again() {
    let shop = Shop::api().await;
    let (before, clara, path) = register(&shop, "clara").await;
    let (elsewhere, pair) = sign_in(&shop, "clara", PASSWORD).await;
    let (_, dan, _) = register(&shop, "dan").await;
    assert!(clara.delete(ME).await.expect(204).body.is_empty());

    for token in [&clara, &elsewhere] {
        token.get(ME).await.problem(401, "token-revoked");
        token.patch(ME, &json!({"full_name": "x"})).await.problem(401, "token-revoked");
        token.delete(ME).await.problem(401, "token-revoked");
    }
    refresh(&shop, &pair).await.problem(401, "token-invalid");
    login(&shop, "clara", PASSWORD).await.problem(401, "invalid-credentials");
    shop.ada.get(&path).await.problem(404, "not-found");
    shop.ada.post_empty(&format!("{path}/restore")).await.problem(404, "not-found");
    assert_eq!(newcomers(&shop).await, ["dan"]);
    dan.get(ME).await.expect(200);
    let sessions: i64 = sqlx::query_scalar("SELECT count(*) FROM identity.sessions WHERE account_id = $1::text::uuid")
        .bind(before["id"].as_str().unwrap())
        .fetch_one(&shop.database)
        .await
        .unwrap();
    assert_eq!(sessions, 0);

    let (after, clara, _) = register(&shop, "clara").await;
    assert_ne!(after["id"], before["id"]);
    clara.get(ME).await.expect(200);
}

#[tokio::test]
async fn refreshing_while_the_account_is_deleted_never_fails_with_500() {
    let shop = Shop::api().await;
    for round in 0..5 {
        let username = format!("clara{round}");
        let (_, clara, _) = register(&shop, &username).await;
        let mut pairs = Vec::new();
        for _ in 0..3 {
            pairs.push(sign_in(&shop, &username, PASSWORD).await.1);
        }
        let refreshes = futures::future::join_all(pairs.iter().map(|pair| refresh(&shop, pair)));
        let (replies, deleted) = tokio::join!(refreshes, async { clara.delete(ME).await });
        deleted.expect(204);
        for reply in replies {
            assert!(matches!(reply.status, 200 | 401), "{}", reply.text());
        }
        login(&shop, &username, PASSWORD).await.problem(401, "invalid-credentials");
    }
}

#[tokio::test]
async fn a_token_of_the_other_role_is_403_and_no_token_401() {
    let shop = Shop::api().await;
    let (before, clara, path) = register(&shop, "clara").await;
    let (_, _, others) = register(&shop, "dan").await;
    let name = json!({"full_name": "x"});
    for (api, status, kind) in [(&shop.ada, 403, "forbidden"), (&shop.owner, 403, "forbidden"), (&shop.anyone, 401, "token-missing")] {
        api.get(ME).await.problem(status, kind);
        api.patch(ME, &name).await.problem(status, kind);
        api.delete(ME).await.problem(status, kind);
    }
    let grace = format!("/v1/admins/{}", shop.people.grace.id);
    for (api, status, kind) in [(&clara, 403, "forbidden"), (&shop.anyone, 401, "token-missing")] {
        for path in ["/v1/customers", &path, &others, "/v1/admins", &grace] {
            api.get(path).await.problem(status, kind);
        }
        for path in [&path, &others, &grace] {
            api.delete(path).await.problem(status, kind);
            api.post_empty(&format!("{path}/restore")).await.problem(status, kind);
        }
        api.patch(&grace, &name).await.problem(status, kind);
        api.post("/v1/admins", &newcomer("climber")).await.problem(status, kind);
        api.post("/v1/products", &catalog_tests::samples::plain("mine")).await.problem(status, kind);
    }
    assert_eq!(clara.get(ME).await.expect(200).json(), before);
}
