//! Stock: set with a product, read from a resource of its own.

use catalog_tests::{
    Shop,
    samples::{self, create},
};
use serde_json::{Value, json};

fn with_quantity(sku: &str, quantity: i64) -> Value {
    let mut body = samples::plain(sku);
    body["quantity"] = json!(quantity);
    body
}

#[tokio::test]
async fn untracked_stock_has_no_quantity_and_is_always_available() {
    let shop = Shop::api().await;
    let product = create(&shop.ada, &samples::plain("T-1")).await;
    assert_eq!(product.body["in_stock"], true);
    let stock = shop.anyone.get(&product.at("stock")).await.expect(200).json();
    assert_eq!(stock["quantity"], Value::Null);
    assert!(stock["as_of"].as_str().unwrap().ends_with('Z'), "{stock}");
}

#[tokio::test]
async fn a_product_without_units_is_sold_out() {
    let shop = Shop::api().await;
    let some = create(&shop.ada, &with_quantity("some", 7)).await;
    let none = create(&shop.ada, &with_quantity("none", 0)).await;
    assert_eq!((&some.body["in_stock"], &none.body["in_stock"]), (&json!(true), &json!(false)));
    assert_eq!(shop.anyone.get(&some.at("stock")).await.expect(200).json()["quantity"], 7);
    assert_eq!(shop.anyone.get(&none.at("stock")).await.expect(200).json()["quantity"], 0);
    shop.anyone.get(&none.path).await.expect(200);
}

#[tokio::test]
async fn selling_out_changes_the_entity_tag_but_not_the_version() {
    let shop = Shop::api().await;
    let product = create(&shop.ada, &with_quantity("T-1", 5)).await;
    let fewer = shop.ada.patch(&product.path, &json!({"quantity": 4})).await.expect(200);
    assert_eq!((fewer.json(), fewer.header("etag")), (product.body.clone(), product.etag.as_str()));
    shop.anyone.get(&product.path).header("if-none-match", &product.etag).await.expect(304);

    let out = shop.ada.patch(&product.path, &json!({"quantity": 0})).await.expect(200);
    assert_eq!((&out.json()["in_stock"], &out.json()["version"]), (&json!(false), &json!(1)));
    assert_ne!(out.header("etag"), product.etag);
    let read = shop.anyone.get(&product.path).header("if-none-match", &product.etag).await.expect(200);
    assert_eq!(read.json()["in_stock"], false);

    let back = shop.ada.patch(&product.path, &json!({"quantity": 1})).await.expect(200);
    assert_eq!(back.header("etag"), product.etag);
    assert_eq!(shop.anyone.get(&product.path).await.expect(200).json()["in_stock"], true);
}

#[tokio::test]
async fn invalid_quantities_are_rejected() {
    let shop = Shop::api().await;
    let product = create(&shop.ada, &with_quantity("T-1", 5)).await;
    for quantity in [json!(-1), json!(1.5), json!("7"), json!(1_000_000_001_i64), json!(1e30), json!(true)] {
        let mut body = samples::plain("T-2");
        body["quantity"] = quantity.clone();
        for reply in [shop.ada.post("/v1/products", &body).await, shop.ada.patch(&product.path, &json!({"quantity": quantity})).await] {
            reply.problem(422, "invalid");
            assert_eq!(reply.pointers(), ["#/quantity"], "{quantity}: {}", reply.text());
        }
    }
    shop.anyone.get("/v1/products/by-sku/T-2").await.problem(404, "not-found");
    assert_eq!(shop.anyone.get(&product.at("stock")).await.expect(200).json()["quantity"], 5);
}
