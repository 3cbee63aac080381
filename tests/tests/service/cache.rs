//! Reads from the cache are never older than allowed.

use std::time::Duration;

use catalog_tests::{
    Api, Role, Shop,
    buying::{cart, put},
    eventually,
    samples::{self, Created, create},
    wait::{check, within},
};
use serde_json::{Value, json};
use uuid::Uuid;

/// Longest time that another process may return the old version of a product.
const STALE_AT_MOST: Duration = Duration::from_secs(2);

#[tokio::test]
async fn the_process_that_makes_a_change_returns_it_at_once() {
    let shop = Shop::api().await;
    let product = create(&shop.ada, &samples::plain("T-1")).await;
    for number in 0..50 {
        shop.anyone.get(&product.path).await.expect(200);
        let name = format!("Name {number}");
        shop.ada.patch(&product.path, &json!({"name": name})).await.expect(200);
        assert_eq!(shop.anyone.get(&product.path).await.expect(200).json()["name"], name);
    }
    shop.ada.delete(&product.path).await.expect(204);
    shop.anyone.get(&product.path).await.problem(404, "not-found");
}

#[tokio::test]
async fn the_process_that_makes_a_change_does_not_need_its_event() {
    let shop = Shop::builder().only_api().proxied().allow_error_logs().start().await;
    let read = async |product: &Created| shop.anyone.get(&product.path).await.expect(200).json();
    without_events(&shop, async |product| {
        shop.ada.patch(&product.path, &json!({"name": "Patched"})).await.expect(200);
        assert_eq!(read(product).await["name"], "Patched");
        Ok(())
    })
    .await;
    without_events(&shop, async |product| {
        let path = cart(&shop.carol).await;
        put(&shop.carol, &path, product, 1).await.expect(200);
        assert_eq!(read(product).await["in_stock"], false);
        let used = is_cached(&shop, product).await;
        shop.carol.delete(&path).await.expect(204);
        assert_eq!(read(product).await["in_stock"], true);
        used
    })
    .await;
    without_events(&shop, async |product| {
        let mut row = samples::plain(product.body["sku"].as_str().unwrap());
        row["name"] = json!("Imported");
        shop.ada.post("/v1/products/bulk", &json!({"items": [row]})).await.expect(200);
        assert_eq!(read(product).await["name"], "Imported");
        Ok(())
    })
    .await;
    without_events(&shop, async |product| {
        shop.ada.delete(&product.path).await.expect(204);
        shop.anyone.get(&product.path).await.problem(404, "not-found");
        Ok(())
    })
    .await;
}

/// Runs `command` on a cached product, of which one unit is available, while no event arrives. The cache is then in use for another
/// two seconds: repeats all with another product if it isn't any more when `command` has ended.
async fn without_events(shop: &Shop, command: impl AsyncFn(&Created) -> Result<(), Value>) {
    let nats = &shop.network().nats;
    eventually("the cache is in use until the command has ended", async || {
        let mut body = samples::plain(&Uuid::now_v7().to_string());
        body["quantity"] = json!(1);
        let product = create(&shop.ada, &body).await;
        let other = create(&shop.ada, &samples::plain(&Uuid::now_v7().to_string())).await;
        eventually("the product is cached", async || is_cached(shop, &product).await).await;
        nats.freeze();
        let done = command(&product).await;
        let used = is_cached(shop, &other).await;
        nats.restore();
        done.and(used)
    })
    .await;
}

/// Returns the product as an error if it is read from the database.
async fn is_cached(shop: &Shop, product: &Created) -> Result<(), Value> {
    let read = async || shop.anyone.get(&product.path).await.expect(200).json();
    let cached = read().await;
    sqlx::query("UPDATE products.products SET brand = gen_random_uuid()::text").execute(&shop.database).await.unwrap();
    let shown = read().await;
    check(shown == cached, || shown)
}

#[tokio::test]
async fn a_reader_never_sees_an_older_version_after_a_newer_one() {
    let shop = Shop::api().await;
    let product = create(&shop.ada, &samples::plain("T-1")).await;
    let writing = async {
        for number in 0..60 {
            shop.ada.patch(&product.path, &json!({"name": format!("Name {number}")})).await.expect(200);
        }
    };
    let reading = async || {
        let mut newest = 0;
        while newest < 61 {
            let version = shop.anyone.get(&product.path).await.expect(200).json()["version"].as_i64().unwrap();
            assert!(version >= newest, "version {version} after {newest}");
            newest = version;
        }
    };
    tokio::join!(writing, reading(), reading(), reading());
}

#[tokio::test]
async fn a_change_through_one_api_is_read_through_another_within_two_seconds() {
    let mut shop = Shop::api().await;
    let first = Api::anonymous(&shop.anyone.base(), None);
    shop.start_role(Role::Serve).await;
    let second = shop.anyone.clone();
    assert_ne!(first.base(), second.base());

    let mut body = samples::plain("T-1");
    body["quantity"] = json!(1);
    let product = create(&shop.ada, &body).await;
    for number in 0..10 {
        // In both caches.
        first.get(&product.path).await.expect(200);
        second.get(&product.path).await.expect(200);
        let name = format!("Name {number}");
        shop.ada.patch(&product.path, &json!({"name": name})).await.expect(200);
        within(STALE_AT_MOST, "the other API shows the change", async || {
            let shown = first.get(&product.path).await.expect(200).json();
            check(shown["name"] == name.as_str(), || shown)
        })
        .await;
    }
    shop.ada.patch(&product.path, &json!({"quantity": 0})).await.expect(200);
    within(STALE_AT_MOST, "the other API shows that it is sold out", async || {
        let shown = first.get(&product.path).await.expect(200).json();
        check(shown["in_stock"] == false, || shown)
    })
    .await;
    shop.ada.delete(&product.path).await.expect(204);
    within(STALE_AT_MOST, "the other API returns that it is deleted", async || {
        let status = first.get(&product.path).await.status;
        check(status == 404, || status)
    })
    .await;
}
