//! Requests of shoppers and admins.

use catalog_tests::wait;
use serde_json::{Value, json};

use crate::{
    reader::Readers,
    shop::{EDITOR, Shop, TIMEOUT},
};

/// Products of the sample import.
pub const PRODUCTS: usize = 200;

/// Imports products, and waits for the summary mail.
pub async fn import(shop: &Shop) {
    let product = |number: usize| {
        let price = json!({"amount": format!("{number}.50"), "currency": "EUR"});
        json!({"sku": sku(number), "name": format!("Lamp {number}"), "price": price, "quantity": 5}).to_string()
    };
    let rows: Vec<_> = (1..=PRODUCTS).map(product).collect();
    let import = shop.admin.request(reqwest::Method::POST, "/v1/products/bulk").body("application/x-ndjson", rows.join("\n"));
    let result = import.await.expect(200).json();
    assert_eq!((&result["created"], &result["failed"]), (&json!(PRODUCTS), &json!(0)), "{result}");
    shop.inbox.mail_about(EDITOR.1, &PRODUCTS.to_string()).await;
}

/// Checks that every read is counted as one view.
pub async fn views(shop: &Shop) {
    const READS: u64 = 2_000;
    let paths = paths(shop).await;
    let before = total(shop, &paths).await;
    let readers = Readers::start(&shop.anyone, 8, &paths);
    wait::within(TIMEOUT, "reads succeed", async || wait::check(readers.served() >= READS, || readers.served())).await;
    let (served, failures) = readers.stop().await;
    assert_eq!(failures, Vec::<String>::new());
    counted(shop, &paths, before + served).await;
}

/// Changes a product, and waits for the mail to the other admin.
pub async fn change(shop: &Shop) {
    let path = &paths(shop).await[0];
    let renamed = json!({"name": "Lamp of the e2e suite"});
    shop.admin.patch(path, &renamed).await.expect(200);
    let mail = shop.inbox.mail_about(EDITOR.1, "Lamp of the e2e suite").await;
    assert!(mail.text.contains("Lamp 1 -> Lamp of the e2e suite"), "{}", mail.text);
}

/// Paths of some imported products.
pub async fn paths(shop: &Shop) -> Vec<String> {
    let mut paths = Vec::new();
    for number in 1..=10 {
        let product = shop.admin.get(&format!("/v1/products/by-sku/{}", sku(number))).await.expect(200).json();
        paths.push(format!("/v1/products/{}", product["id"].as_str().unwrap()));
    }
    paths
}

/// Waits until these products have `expected` views in total. Panics if they have more.
pub async fn counted(shop: &Shop, paths: &[String], expected: u64) {
    wait::within(TIMEOUT, "views are counted", async || {
        let total = total(shop, paths).await;
        assert!(total <= expected, "{total} views counted, {expected} served");
        wait::check(total == expected, || (total, expected))
    })
    .await;
}

/// Total views of these products.
pub async fn total(shop: &Shop, paths: &[String]) -> u64 {
    let mut total = 0;
    for path in paths {
        let views: Value = shop.admin.get(&format!("{path}/views")).await.expect(200).json();
        total += views["total"].as_u64().unwrap();
    }
    total
}

/// The sku of an imported product.
pub fn sku(number: usize) -> String {
    format!("lamp-{number}")
}
