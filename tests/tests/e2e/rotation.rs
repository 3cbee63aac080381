//! Secrets that are replaced.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use catalog_tests::wait;
use jsonwebtoken::decode_header;
use k8s_openapi::api::core::v1::Secret;
use kube::{ResourceExt, api::DeleteParams};
use serde_json::{Value, json};

use crate::shop::{PATIENCE, Shop};

/// A key that is published and doesn't sign yet.
pub struct Published {
    kid: String,
    since: Instant,
}

/// Asks for a new signing key, and sees it published, while tokens of the old one stay valid.
pub async fn publish_a_key(shop: &Shop) -> Published {
    let before = kids(shop).await;
    let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    shop.patch(json!({"metadata": {"annotations": {"catalog.rs/rotate-signing-key": now}}})).await;
    let kid = wait::within(PATIENCE, "a new key is published", async || {
        let kids = kids(shop).await;
        let new = kids.iter().find(|kid| !before.contains(kid)).cloned();
        new.filter(|_| before.iter().all(|old| kids.contains(old))).ok_or(kids)
    })
    .await;
    shop.admin.get("/v1/admins").await.expect(200);
    Published { kid, since: Instant::now() }
}

/// Sees new tokens signed with it, five minutes later, and old ones still valid.
pub async fn new_key_signs(shop: &Shop, published: Published) {
    // Every API process may have seen it later than the first one.
    let limit = Duration::from_mins(7).saturating_sub(published.since.elapsed()) + PATIENCE;
    wait::within(limit, "the new key signs", async || {
        let kid = decode_header(shop.signed_in().await.token()).unwrap().kid.unwrap();
        wait::holds(kid == published.kid, || kid)
    })
    .await;
}

async fn kids(shop: &Shop) -> Vec<String> {
    let keys: Value = shop.anyone.get("/.well-known/jwks.json").await.expect(200).json();
    keys["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// Deletes the Secret with the password of the database, and sees another one made, set and used.
pub async fn database_password(shop: &Shop) {
    let secrets = shop.kube::<Secret>();
    let password = |secret: &Secret| secret.data.as_ref().unwrap()["password"].clone();
    let before = password(&secrets.get("shop-postgres").await.unwrap());
    let pods = async |component| shop.pods(component).await.iter().filter_map(ResourceExt::uid).collect::<HashSet<_>>();
    let (database, api) = (pods("postgres").await, pods("api").await);
    secrets.delete("shop-postgres", &DeleteParams::default()).await.unwrap();
    wait::within(PATIENCE, "another password is made", async || {
        let secret = secrets.get("shop-postgres").await.map_err(|error| error.to_string())?;
        wait::holds(password(&secret) != before, || "the old one".to_owned())
    })
    .await;
    // The database has but one pod, and is away while that is replaced; whoever uses it begins anew after the migration.
    for (component, before) in [("postgres", database), ("api", api)] {
        wait::within(PATIENCE, &format!("{component} has other pods"), async || {
            let now = pods(component).await;
            wait::holds(!now.is_empty() && now.is_disjoint(&before), || now)
        })
        .await;
    }
    shop.is_ready().await;
    wait::within(PATIENCE, "the database is written to", async || {
        let product = json!({"sku": "after-rotation", "name": "After the rotation", "price": {"amount": "1", "currency": "EUR"}});
        let reply = shop.admin.post("/v1/products", &product).attempt().await.map_err(|error| error.to_string())?;
        wait::holds(matches!(reply.status, 201 | 409), || reply.text())
    })
    .await;
}
