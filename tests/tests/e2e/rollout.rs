//! Rollouts of other images.

use std::process::Command;

use serde_json::json;

use crate::{
    reader::Readers,
    shop::{NAME, Shop, cluster_state},
    usage,
};

/// Rolls to another tag of the image while clients keep reading.
pub async fn image(shop: &Shop) {
    let paths = usage::paths(shop).await;
    let before = shop.catalogs().get(NAME).await.unwrap();
    let image = before.data["spec"]["image"]["repository"].as_str().unwrap_or("catalog").to_owned();
    let old = before.data["status"]["version"].as_str().unwrap().to_owned();
    let new = format!("{old}-next");
    add_tag(&format!("{image}:{old}"), &format!("{image}:{new}"));
    let readers = Readers::start(&shop.anyone, 4, &paths);
    shop.patch(json!({"spec": {"image": {"tag": new}}})).await;
    shop.becomes_ready().await;
    let (served, failures) = readers.stop().await;
    eprintln!("         {served} reads during the rollout");
    assert_eq!(failures, Vec::<String>::new(), "of {served} reads");
    let after = shop.catalogs().get(NAME).await.unwrap();
    assert_eq!(after.data["status"]["version"], json!(new));
}

/// Sets an image that doesn't exist, checks that reads succeed, and restores the image.
pub async fn unknown_image(shop: &Shop) {
    let paths = usage::paths(shop).await;
    let tag = shop.catalogs().get(NAME).await.unwrap().data["spec"]["image"]["tag"].clone();
    let readers = Readers::start(&shop.anyone, 2, &paths);
    shop.patch(json!({"spec": {"image": {"tag": "does-not-exist"}}})).await;
    let degraded = shop.condition_becomes("Degraded", "True").await;
    assert!(degraded["message"].as_str().unwrap().contains("does-not-exist"), "{degraded}");
    shop.patch(json!({"spec": {"image": {"tag": tag}}})).await;
    shop.becomes_ready().await;
    let (served, failures) = readers.stop().await;
    assert_eq!(failures, Vec::<String>::new(), "of {served} reads");
}

/// Adds a tag to an image of the node.
fn add_tag(image: &str, name: &str) {
    let full = |short: &str| if short.contains('/') { short.to_owned() } else { format!("docker.io/library/{short}") };
    let cache = std::env::var("CATALOG_CLUSTER_CACHE").unwrap_or_else(|_| "/var/cache/catalog/cluster".into());
    let tagged = Command::new(format!("{cache}/bin/ctr"))
        .args(["--address", "/run/catalog-cluster/containerd.sock", "--namespace", "k8s.io", "images", "tag", "--force"])
        .args([full(image), full(name)])
        .output()
        .unwrap();
    let state = cluster_state();
    assert!(tagged.status.success(), "{} ({})", String::from_utf8_lossy(&tagged.stderr), state.display());
}
