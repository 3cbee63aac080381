//! Autoscaling up and down. The intermediate numbers of pods are not tested.

use std::time::Duration;

use catalog_tests::wait;
use serde_json::json;
use sqlx::Connection;

use crate::{reader::Readers, shop::Shop, usage};

/// Timeout of a scaling. KEDA and the HPA poll every few seconds, and wait before they scale down.
pub const AUTOSCALERS: Duration = Duration::from_mins(8);

/// Locks a table of the trackers until the lag scales them up, and waits until they are scaled down again.
/// (A lock, because one tracker counts a hundred thousand views per second.)
pub async fn tracker(shop: &Shop) {
    shop.patch(json!({"spec": {"tracker": {"autoscaling": {"minReplicas": 1, "maxReplicas": 4, "lagThreshold": 5}}}})).await;
    shop.becomes_ready().await;
    let paths = usage::paths(shop).await;
    let before = usage::total(shop, &paths).await;
    let mut database = shop.database().await;
    let mut lock = database.begin().await.unwrap();
    sqlx::query("LOCK TABLE tracking.counted_messages IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    let readers = Readers::start(&shop.anyone, 2, &paths);
    wait::within(AUTOSCALERS, "the tracker is scaled up", async || {
        let (wanted, _) = shop.replicas("shop-tracker").await;
        wait::check(wanted > 1, || wanted)
    })
    .await;
    let (served, failures) = readers.stop().await;
    assert_eq!(failures, Vec::<String>::new());
    lock.rollback().await.unwrap();
    usage::counted(shop, &paths, before + served).await;
    wait::within(AUTOSCALERS, "the tracker is scaled down", async || {
        let (wanted, ready) = shop.replicas("shop-tracker").await;
        wait::check((wanted, ready) == (1, 1), || (wanted, ready))
    })
    .await;
}

/// Reads long lists as fast as possible until the API is scaled up, and waits until it is scaled down again. (Single reads need more
/// CPU in the client than in the API.)
pub async fn api(shop: &Shop) {
    let (minimum, _) = shop.replicas("shop-api").await;
    let lists = ["/v1/products?limit=200&in_stock=any".to_owned()];
    let readers = Readers::start(&shop.anyone, 16, &lists);
    wait::within(AUTOSCALERS, "the API is scaled up", async || {
        let (wanted, _) = shop.replicas("shop-api").await;
        wait::check(wanted > minimum, || wanted)
    })
    .await;
    let (served, failures) = readers.stop().await;
    assert_eq!(failures, Vec::<String>::new(), "of {served} reads");
    wait::within(AUTOSCALERS, "the API is scaled down", async || {
        let (wanted, ready) = shop.replicas("shop-api").await;
        wait::check((wanted, ready) == (minimum, minimum), || (wanted, ready))
    })
    .await;
}
