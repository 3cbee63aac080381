//! Rotation of Secrets.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use catalog_tests::{Api, buying, wait};
use jsonwebtoken::decode_header;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{ResourceExt, api::DeleteParams};
use serde_json::{Value, json};

use crate::{
    reader::Readers,
    shop::{Shop, TIMEOUT},
    usage,
};

/// A published key that does not sign yet.
pub struct Published {
    kid: String,
    since: Instant,
}

/// Rotates the signing key, and checks that the new one is published and that tokens of the old one stay valid.
pub async fn publish_a_key(shop: &Shop) -> Published {
    let before = key_ids(shop).await;
    let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    shop.patch(json!({"metadata": {"annotations": {"catalog.rs/rotate-signing-key": now}}})).await;
    let kid = wait::within(TIMEOUT, "a new key is published", async || {
        let ids = key_ids(shop).await;
        let new = ids.iter().find(|kid| !before.contains(kid)).cloned();
        new.filter(|_| before.iter().all(|old| ids.contains(old))).ok_or(ids)
    })
    .await;
    shop.admin.get("/v1/admins").await.expect(200);
    Published { kid, since: Instant::now() }
}

/// Waits until the new key signs tokens, five minutes after its publication.
pub async fn new_key_signs(shop: &Shop, published: Published) {
    // The other API processes may have read the key later than the first one.
    let limit = Duration::from_mins(7).saturating_sub(published.since.elapsed()) + TIMEOUT;
    wait::within(limit, "the new key signs", async || {
        let kid = decode_header(shop.signed_in().await.token()).unwrap().kid.unwrap();
        wait::check(kid == published.kid, || kid)
    })
    .await;
}

async fn key_ids(shop: &Shop) -> Vec<String> {
    let keys: Value = shop.anyone.get("/.well-known/jwks.json").await.expect(200).json();
    keys["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// Rotates the password of the database while clients send uncached reads and a customer orders. No request fails.
pub async fn database_password(shop: &Shop) {
    let product = buying::stocked(&shop.admin, "sold-during-the-rotation", 10_000).await;
    let customer = customer(shop).await;
    let mut paths: Vec<_> = (1..=10).map(|number| format!("/v1/products/by-sku/{}", usage::sku(number))).collect();
    paths.push(product.at("stock"));
    let before = active_login(shop).await;
    let (database, api) = (containers(shop, "postgres").await, uids(shop, "api").await);
    let readers = Readers::start(&shop.anyone, 4, &paths);
    let started = Instant::now();
    let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    shop.patch(json!({"metadata": {"annotations": {"catalog.rs/rotate-database-password": now}}})).await;
    let mut failures = Vec::new();
    let mut orders = 0;
    let mut replaced = false;
    while !replaced {
        assert!(started.elapsed() < TIMEOUT, "the API still has pods from before the rotation");
        match buying::order(&customer, &[(&product, 1)]).attempt().await {
            Ok(reply) if reply.status == 201 => orders += 1,
            Ok(reply) => failures.push(format!("{}: {}", reply.status, reply.text())),
            Err(error) => failures.push(format!("{error:?}")),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let pods = uids(shop, "api").await;
        replaced = !pods.is_empty() && pods.is_disjoint(&api);
    }
    shop.becomes_ready().await;
    let (served, failed_reads) = readers.stop().await;
    eprintln!("         {served} reads and {orders} orders in {:.0} s", started.elapsed().as_secs_f64());
    assert_eq!((failures, failed_reads), (Vec::<String>::new(), Vec::<String>::new()), "of {served} reads and {orders} orders");
    let after = active_login(shop).await;
    assert!(after.0 != before.0 && after.1 != before.1, "another login role is active: {}", after.0);
    assert_eq!(containers(shop, "postgres").await, database, "PostgreSQL was restarted");
    shop.database().await;
}

async fn customer(shop: &Shop) -> Api {
    let (username, password) = ("rotation", "a passphrase of the rotation");
    let account = json!({"username": username, "email": "rotation@example.com", "password": password});
    shop.anyone.post("/v1/customers", &account).await.expect(201);
    let session = shop.anyone.post("/v1/auth/login", &json!({"username": username, "password": password})).await.expect(200).json();
    shop.anyone.with_token(session["access_token"].as_str().unwrap())
}

async fn active_login(shop: &Shop) -> (String, ByteString) {
    let data = shop.kube::<Secret>().get("shop-postgres").await.unwrap().data.unwrap();
    let username = String::from_utf8(data["username"].0.clone()).unwrap();
    let password = data[&username].clone();
    (username, password)
}

async fn uids(shop: &Shop, component: &str) -> HashSet<String> {
    shop.pods(component).await.iter().filter_map(ResourceExt::uid).collect()
}

/// Ids of the running containers, which change with a restart.
async fn containers(shop: &Shop, component: &str) -> Vec<Option<String>> {
    let pods = shop.pods(component).await.into_iter();
    let statuses = pods.flat_map(|pod| pod.status.and_then(|status| status.container_statuses).unwrap_or_default());
    statuses.map(|container| container.container_id).collect()
}

/// Deletes the Secret with the password of the database, and checks that a new password is generated, set and used.
pub async fn deleted_database_password(shop: &Shop) {
    let secrets = shop.kube::<Secret>();
    let (_, before) = active_login(shop).await;
    let (database, api) = (containers(shop, "postgres").await, uids(shop, "api").await);
    let started = Instant::now();
    secrets.delete("shop-postgres", &DeleteParams::default()).await.unwrap();
    wait::within(TIMEOUT, "a new password is generated", async || {
        let secret = secrets.get("shop-postgres").await.map_err(|error| error.to_string())?;
        let data = secret.data.unwrap_or_default();
        wait::check(data.values().all(|value| *value != before), || "the old password".to_owned())
    })
    .await;
    wait::within(TIMEOUT, "all pods of the API are replaced", async || {
        let now = uids(shop, "api").await;
        wait::check(!now.is_empty() && now.is_disjoint(&api), || now)
    })
    .await;
    shop.becomes_ready().await;
    eprintln!("         recovered after {:.0} s", started.elapsed().as_secs_f64());
    assert_eq!(containers(shop, "postgres").await, database, "PostgreSQL was restarted");
    wait::within(TIMEOUT, "a write to the database succeeds", async || {
        let product = json!({"sku": "after-rotation", "name": "After the rotation", "price": {"amount": "1", "currency": "EUR"}});
        let reply = shop.admin.post("/v1/products", &product).attempt().await.map_err(|error| error.to_string())?;
        wait::check(matches!(reply.status, 201 | 409), || reply.text())
    })
    .await;
}
