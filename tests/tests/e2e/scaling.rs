//! Autoscaling, up and down again. Which steps it takes on the way is the autoscalers' business.

use std::time::Duration;

use catalog_tests::wait;
use serde_json::json;
use sqlx::Connection;

use crate::{reader::Readers, shop::Shop, usage};

/// KEDA and the HPA look every few seconds, and take time to believe that it stays quiet.
pub const AUTOSCALERS: Duration = Duration::from_mins(8);

/// Makes the database slow for the trackers, so that views wait, and sees more of them than usual; later the fewest again.
/// (Nothing less holds them up: one tracker counts a hundred thousand views a second.)
pub async fn tracker(shop: &Shop) {
    shop.patch(json!({"spec": {"tracker": {"autoscaling": {"minReplicas": 1, "maxReplicas": 4, "lagThreshold": 5}}}})).await;
    shop.is_ready().await;
    let paths = usage::paths(shop).await;
    let before = usage::total(shop, &paths).await;
    let mut database = shop.database().await;
    let mut slow = database.begin().await.unwrap();
    sqlx::query("LOCK TABLE tracking.counted_messages IN ACCESS EXCLUSIVE MODE").execute(&mut *slow).await.unwrap();
    let readers = Readers::start(&shop.anyone, 2, &paths);
    wait::within(AUTOSCALERS, "several trackers are asked for", async || {
        let (wanted, _) = shop.replicas("shop-tracker").await;
        wait::holds(wanted > 1, || wanted)
    })
    .await;
    let (served, failures) = readers.stop().await;
    assert_eq!(failures, Vec::<String>::new());
    slow.rollback().await.unwrap();
    usage::counted(shop, &paths, before + served).await;
    wait::within(AUTOSCALERS, "one tracker is enough again", async || {
        let (wanted, ready) = shop.replicas("shop-tracker").await;
        wait::holds((wanted, ready) == (1, 1), || (wanted, ready))
    })
    .await;
}

/// Reads long lists as fast as can be, until there are more API pods than the fewest; later the fewest again. (Single reads cost
/// the API next to nothing: whoever asks for them is busy first.)
pub async fn api(shop: &Shop) {
    let (fewest, _) = shop.replicas("shop-api").await;
    let lists = ["/v1/products?limit=200&in_stock=any".to_owned()];
    let readers = Readers::start(&shop.anyone, 16, &lists);
    wait::within(AUTOSCALERS, "more API pods are asked for", async || {
        let (wanted, _) = shop.replicas("shop-api").await;
        wait::holds(wanted > fewest, || wanted)
    })
    .await;
    let (served, failures) = readers.stop().await;
    assert_eq!(failures, Vec::<String>::new(), "of {served} reads");
    wait::within(AUTOSCALERS, "the fewest API pods are enough again", async || {
        let (wanted, ready) = shop.replicas("shop-api").await;
        wait::holds((wanted, ready) == (fewest, fewest), || (wanted, ready))
    })
    .await;
}
