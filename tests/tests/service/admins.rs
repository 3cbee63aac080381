//! Admins and the superuser.

use catalog_tests::{
    Api, Shop,
    people::{ADA, OWNER},
};
use serde_json::{Value, json};

fn newcomer(username: &str) -> Value {
    json!({"username": username, "email": format!("{username}@shop.test"), "password": "a passphrase of mine", "full_name": "A. Newcomer"})
}

async fn create_admin(shop: &Shop, username: &str) -> (String, Value) {
    let admin = shop.ada.post("/v1/admins", &newcomer(username)).await.expect(201).json();
    (format!("/v1/admins/{}", admin["id"].as_str().unwrap()), admin)
}

async fn sign_in(shop: &Shop, username: &str, password: &str) -> Option<(Api, Value)> {
    let reply = shop.anyone.post("/v1/auth/login", &json!({"username": username, "password": password})).await;
    if reply.status == 200 {
        let pair = reply.json();
        return Some((shop.anyone.with_token(pair["access_token"].as_str().unwrap()), pair));
    }
    reply.problem(401, "invalid-credentials");
    None
}

async fn usernames(shop: &Shop) -> Vec<String> {
    let list = shop.ada.get("/v1/admins?limit=200").await.expect(200).json();
    let mut names: Vec<_> = list["items"].as_array().unwrap().iter().map(|one| one["username"].as_str().unwrap().to_owned()).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_new_admin_is_returned_without_a_password_and_can_sign_in() {
    let shop = Shop::api().await;
    let reply = shop.ada.post("/v1/admins", &newcomer("barbara")).await.expect(201);
    let admin = reply.json();
    let mut fields: Vec<_> = admin.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["created_at", "email", "full_name", "id", "is_active", "is_superuser", "updated_at", "username"]);
    assert_eq!((&admin["is_active"], &admin["is_superuser"]), (&json!(true), &json!(false)));
    let path = format!("/v1/admins/{}", admin["id"].as_str().unwrap());
    assert!(reply.header("location").ends_with(&path), "{:?}", reply.headers);
    assert_eq!(shop.grace.get(&path).await.expect(200).json(), admin);
    assert_eq!(usernames(&shop).await, ["ada", "barbara", "grace", "owner"]);
    let (barbara, _) = sign_in(&shop, "barbara", "a passphrase of mine").await.expect("she can sign in");
    barbara.get(&path).await.expect(200);
}

#[tokio::test]
async fn a_username_or_address_of_another_account_is_a_conflict_and_creates_nothing() {
    let shop = Shop::api().await;
    let taken = [
        json!({"username": "ada", "email": "other@shop.test", "password": "a passphrase of mine"}),
        json!({"username": "Ada", "email": "other@shop.test", "password": "a passphrase of mine"}),
        json!({"username": "other", "email": "ada@shop.test", "password": "a passphrase of mine"}),
        json!({"username": "other", "email": "ADA@shop.test", "password": "a passphrase of mine"}),
        json!({"username": OWNER.0, "email": "other@shop.test", "password": "a passphrase of mine"}),
    ];
    for body in &taken {
        let reply = shop.ada.post("/v1/admins", body).await.expect(409);
        assert_eq!(reply.pointers().len(), 1, "{body}: {}", reply.text());
    }
    assert_eq!(usernames(&shop).await, ["ada", "grace", "owner"]);
    let (path, _) = create_admin(&shop, "barbara").await;
    shop.ada.patch(&path, &json!({"username": "grace"})).await.expect(409);
    shop.ada.patch(&path, &json!({"email": "grace@shop.test"})).await.expect(409);
    assert_eq!(shop.ada.get(&path).await.expect(200).json()["username"], "barbara");
}

#[tokio::test]
async fn concurrent_requests_for_one_username_create_one_account() {
    let shop = Shop::api().await;
    let body = newcomer("barbara");
    let replies = futures::future::join_all((0..6).map(|_| async { shop.ada.post("/v1/admins", &body).await })).await;
    let mut statuses: Vec<_> = replies.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409]);
    assert_eq!(usernames(&shop).await, ["ada", "barbara", "grace", "owner"]);
}

#[tokio::test]
async fn a_patch_changes_its_fields_and_a_new_password_ends_the_sessions() {
    let shop = Shop::api().await;
    let (path, before) = create_admin(&shop, "barbara").await;
    let after = shop.ada.patch(&path, &json!({"email": "b@shop.test", "full_name": null})).await.expect(200).json();
    assert_eq!(after["email"], "b@shop.test");
    assert!(after.get("full_name").is_none_or(Value::is_null), "{after}");
    assert_eq!(after["username"], before["username"]);
    assert_eq!(after["created_at"], before["created_at"]);
    assert_eq!(shop.grace.get(&path).await.expect(200).json(), after);

    let (barbara, pair) = sign_in(&shop, "barbara", "a passphrase of mine").await.unwrap();
    shop.ada.patch(&path, &json!({"password": "a better passphrase"})).await.expect(200);
    barbara.get(&path).await.problem(401, "token-revoked");
    shop.anyone.post("/v1/auth/refresh", &json!({"refresh_token": pair["refresh_token"]})).await.problem(401, "token-revoked");
    assert!(sign_in(&shop, "barbara", "a passphrase of mine").await.is_none());
    assert!(sign_in(&shop, "barbara", "a better passphrase").await.is_some());
}

#[tokio::test]
async fn read_only_fields_cannot_be_created_or_patched() {
    let shop = Shop::api().await;
    let (path, before) = create_admin(&shop, "barbara").await;
    for (field, value) in [
        ("is_superuser", json!(true)),
        ("is_active", json!(false)),
        ("id", json!(uuid::Uuid::now_v7())),
        ("created_at", json!("2020-01-01T00:00:00Z")),
    ] {
        let mut body = newcomer("climber");
        body[field] = value.clone();
        shop.ada.post("/v1/admins", &body).await.problem(422, "invalid");
        shop.ada.patch(&path, &json!({ field: value })).await.problem(422, "invalid");
    }
    assert_eq!(shop.ada.get(&path).await.expect(200).json(), before);
    assert_eq!(usernames(&shop).await, ["ada", "barbara", "grace", "owner"]);
}

#[tokio::test]
async fn a_deactivated_admin_loses_access_at_once_and_can_be_restored() {
    let shop = Shop::api().await;
    let (path, _) = create_admin(&shop, "barbara").await;
    let (barbara, pair) = sign_in(&shop, "barbara", "a passphrase of mine").await.unwrap();
    barbara.get("/v1/admins").await.expect(200);

    shop.ada.delete(&path).await.expect(204);
    barbara.get("/v1/admins").await.problem(401, "token-revoked");
    let refresh = json!({"refresh_token": pair["refresh_token"]});
    shop.anyone.post("/v1/auth/refresh", &refresh).await.problem(401, "token-revoked");
    assert!(sign_in(&shop, "barbara", "a passphrase of mine").await.is_none());
    assert_eq!(shop.ada.get(&path).await.expect(200).json()["is_active"], false);
    // No other account can get the username.
    shop.ada.post("/v1/admins", &newcomer("barbara")).await.expect(409);

    let restored = shop.ada.post_empty(&format!("{path}/restore")).await.expect(200).json();
    assert_eq!(restored["is_active"], true);
    assert!(sign_in(&shop, "barbara", "a passphrase of mine").await.is_some());
    barbara.get("/v1/admins").await.problem(401, "token-revoked");
    shop.anyone.post("/v1/auth/refresh", &refresh).await.problem(401, "token-revoked");
}

#[tokio::test]
async fn the_superuser_cannot_be_changed_through_the_api_not_even_by_itself() {
    let shop = Shop::api().await;
    let path = format!("/v1/admins/{}", shop.people.owner.id);
    let before = shop.ada.get(&path).await.expect(200).json();
    assert_eq!(before["is_superuser"], true);
    for admin in [&shop.ada, &shop.owner] {
        admin.patch(&path, &json!({"full_name": "Me"})).await.problem(403, "superuser-protected");
        admin.patch(&path, &json!({"password": "a passphrase of mine"})).await.problem(403, "superuser-protected");
        admin.delete(&path).await.problem(403, "superuser-protected");
        admin.post_empty(&format!("{path}/restore")).await.problem(403, "superuser-protected");
    }
    assert_eq!(shop.ada.get(&path).await.expect(200).json(), before);
    assert!(sign_in(&shop, OWNER.0, OWNER.2).await.is_some());
}

#[tokio::test]
async fn admins_are_for_admins_only() {
    let shop = Shop::api().await;
    let path = format!("/v1/admins/{}", shop.people.ada.id);
    shop.anyone.get("/v1/admins").await.problem(401, "token-missing");
    shop.anyone.post("/v1/admins", &newcomer("barbara")).await.problem(401, "token-missing");
    shop.anyone.get(&path).await.problem(401, "token-missing");
    shop.anyone.patch(&path, &json!({"full_name": "x"})).await.problem(401, "token-missing");
    shop.anyone.delete(&path).await.problem(401, "token-missing");
    shop.anyone.post_empty(&format!("{path}/restore")).await.problem(401, "token-missing");
    assert_eq!(usernames(&shop).await, ["ada", "grace", "owner"]);
}

#[tokio::test]
async fn an_unknown_admin_is_not_found() {
    let shop = Shop::api().await;
    for id in [uuid::Uuid::now_v7().to_string(), "42".into(), "%20".into(), format!("{}x", shop.people.ada.id)] {
        let path = format!("/v1/admins/{id}");
        shop.ada.get(&path).await.problem(404, "not-found");
        shop.ada.patch(&path, &json!({"full_name": "x"})).await.problem(404, "not-found");
        shop.ada.delete(&path).await.problem(404, "not-found");
        shop.ada.post_empty(&format!("{path}/restore")).await.problem(404, "not-found");
    }
}

#[tokio::test]
async fn pages_list_each_admin_once() {
    let shop = Shop::api().await;
    for number in 0..4 {
        create_admin(&shop, &format!("temp{number}")).await;
    }
    let (mut path, mut names, mut pages) = ("/v1/admins?limit=3".to_owned(), Vec::new(), 0);
    loop {
        let reply = shop.ada.get(&path).await.expect(200);
        let page = reply.json();
        names.extend(page["items"].as_array().unwrap().iter().map(|one| one["username"].as_str().unwrap().to_owned()));
        pages += 1;
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        assert!(reply.header("link").contains("rel=\"next\""));
        path = format!("/v1/admins?limit=3&cursor={cursor}");
    }
    names.sort_unstable();
    assert_eq!(names, ["ada", "grace", "owner", "temp0", "temp1", "temp2", "temp3"]);
    assert_eq!(pages, 3);
    for bad in ["limit=0", "limit=201", "limit=x", "cursor=nonsense", "cursor=", "unknown=1"] {
        shop.ada.get(&format!("/v1/admins?{bad}")).await.problem(400, "invalid-parameters");
    }
}

#[tokio::test]
async fn every_field_of_an_account_is_validated() {
    let shop = Shop::api().await;
    let long = "x".repeat(5000);
    let cases = [
        ("username", json!("")),
        ("username", json!("with space")),
        ("username", json!("nul\u{0}")),
        ("username", json!(long)),
        ("username", json!(7)),
        ("username", Value::Null),
        ("email", json!("no-address")),
        ("email", json!("a@b@c")),
        ("email", json!("a b@shop.test")),
        ("email", json!("x@shop.test\r\nBcc: all@shop.test")),
        ("email", json!(format!("{long}@shop.test"))),
        ("password", json!("short")),
        ("password", json!(long)),
        ("password", json!(["a passphrase of mine"])),
        ("full_name", json!("")),
        ("full_name", json!("two\nlines")),
        ("full_name", json!(long)),
    ];
    for (field, value) in cases {
        let mut body = newcomer("barbara");
        body[field] = value.clone();
        let reply = shop.ada.post("/v1/admins", &body).await;
        reply.problem(422, "invalid");
        assert_eq!(reply.pointers(), [format!("#/{field}")], "{field} {value}: {}", reply.text());
    }
    for field in ["username", "email", "password"] {
        let mut body = newcomer("barbara");
        body.as_object_mut().unwrap().remove(field);
        shop.ada.post("/v1/admins", &body).await.problem(422, "invalid");
    }
    assert_eq!(usernames(&shop).await, ["ada", "grace", "owner"]);
}

#[tokio::test]
async fn changes_by_a_deactivated_admin_are_kept() {
    let shop = Shop::api().await;
    create_admin(&shop, "barbara").await;
    let (barbara, _) = sign_in(&shop, "barbara", "a passphrase of mine").await.unwrap();
    let product = catalog_tests::samples::create(&barbara, &catalog_tests::samples::plain("left-behind")).await;
    let path = format!("/v1/admins/{}", username_with(&shop, "barbara").await);
    shop.ada.delete(&path).await.expect(204);
    barbara.delete(&product.path).await.problem(401, "token-revoked");
    shop.anyone.get(&product.path).await.expect(200);
    assert!(sign_in(&shop, ADA.0, ADA.2).await.is_some());
}

async fn username_with(shop: &Shop, username: &str) -> String {
    let list = shop.ada.get("/v1/admins?limit=200").await.expect(200).json();
    let found = list["items"].as_array().unwrap().iter().find(|one| one["username"] == username).unwrap();
    found["id"].as_str().unwrap().to_owned()
}
