//! Loss of a data volume.

use std::time::Duration;

use catalog_tests::wait::{self, check};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::shop::{NAME, Shop, TIMEOUT};

const CLAIM: &str = "shop-postgres-data";
/// Limit of the time from the loss to its report.
const REPORTED_WITHIN: Duration = Duration::from_secs(10);

async fn installation(shop: &Shop) -> Option<String> {
    let catalog = shop.catalogs().get(NAME).await.unwrap();
    catalog.data["status"]["database"]["installationId"].as_str().map(str::to_owned)
}

/// Deletes claim and pod of the database, and checks the report. Then abandons the installation and checks that the shop is empty.
pub async fn lose_and_abandon(shop: &Shop) {
    let lost = installation(shop).await.expect("the migration has reported an id");
    let claims = shop.kube::<PersistentVolumeClaim>();
    claims.delete(CLAIM, &DeleteParams::default()).await.unwrap();
    shop.kube::<Pod>().delete("shop-postgres-0", &DeleteParams::default().grace_period(0)).await.unwrap();
    let ready = wait::within(REPORTED_WITHIN, "the lost volume is reported", async || {
        let ready = shop.condition("Ready").await.unwrap_or(Value::Null);
        if ready["reason"] == "VolumeLost" { Ok(ready) } else { Err(ready) }
    })
    .await;
    assert_eq!(ready["status"], "False");
    let message = ready["message"].as_str().unwrap();
    assert!(message.contains(CLAIM) && message.contains(&lost), "{message}");
    assert!(claims.get_opt(CLAIM).await.unwrap().is_none(), "the operator does not recreate the claim");

    shop.patch(json!({"metadata": {"annotations": {"catalog.rs/abandon-installation": lost}}})).await;
    wait::within(TIMEOUT, "the shop has a new installation", async || {
        let now = installation(shop).await;
        check(now.as_ref().is_some_and(|now| *now != lost), || now.clone())
    })
    .await;
    // Connects again, because the addresses of the Services changed with the recreated Catalog.
    let shop = Shop::connect().await;
    wait::within(TIMEOUT, "the shop is ready and empty", async || {
        let reply = shop.anyone.get("/v1/products").attempt().await.map_err(|error| error.to_string())?;
        check(reply.status == 200 && reply.json()["items"].as_array().is_some_and(Vec::is_empty), || reply.text())
    })
    .await;
}
