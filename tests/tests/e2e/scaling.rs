//! Autoscaling, up and down again. Which steps it takes on the way is the autoscalers' business.

use std::time::Duration;

use catalog_tests::wait;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::{
    reader::Readers,
    shop::{PATIENCE, Shop},
    usage,
};

/// KEDA and the HPA look every few seconds, and take time to believe that it stays quiet.
const AUTOSCALERS: Duration = Duration::from_mins(8);

/// Holds the trackers back until there is a backlog, lets go, and sees more of them than usual; later the fewest again.
pub async fn tracker(shop: &Shop) {
    shop.patch(json!({"spec": {"tracker": {"autoscaling": {"minReplicas": 1, "maxReplicas": 4, "lagThreshold": 5}}}})).await;
    shop.is_ready().await;
    let scaled = shop.dynamic("keda.sh", "v1alpha1", "ScaledObject");
    let annotate = async |value: serde_json::Value| {
        let annotations = json!({"metadata": {"annotations": {"autoscaling.keda.sh/paused-replicas": value}}});
        scaled.patch("shop-tracker", &PatchParams::default(), &Patch::Merge(annotations)).await.unwrap();
    };
    annotate(json!("0")).await;
    wait::within(PATIENCE, "no tracker runs", async || {
        let pods = shop.pods("tracker").await.len();
        wait::holds(pods == 0, || pods)
    })
    .await;
    let paths = usage::paths(shop).await;
    let before = usage::total(shop, &paths).await;
    let readers = Readers::start(&shop.anyone, 2, &paths);
    // Views travel in a message every 50 ms and process: some hundred messages wait after ten seconds of reading.
    let until = std::time::Instant::now() + Duration::from_secs(15);
    wait::within(PATIENCE, "a backlog", async || wait::holds(std::time::Instant::now() >= until, || "reading")).await;
    let (served, failures) = readers.stop().await;
    assert_eq!(failures, Vec::<String>::new());
    annotate(serde_json::Value::Null).await;
    wait::within(AUTOSCALERS, "several trackers are asked for", async || {
        let (wanted, _) = shop.replicas("shop-tracker").await;
        wait::holds(wanted > 1, || wanted)
    })
    .await;
    usage::counted(shop, &paths, before + served).await;
    wait::within(AUTOSCALERS, "one tracker is enough again", async || {
        let (wanted, ready) = shop.replicas("shop-tracker").await;
        wait::holds((wanted, ready) == (1, 1), || (wanted, ready))
    })
    .await;
}

/// Reads as fast as can be, until there are more API pods than the fewest; later the fewest again.
pub async fn api(shop: &Shop) {
    let (fewest, _) = shop.replicas("shop-api").await;
    let paths = usage::paths(shop).await;
    let readers = Readers::start(&shop.anyone, 16, &paths);
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
