//! Carts: their items are reserved for one customer, and each reservation is released once.

use catalog_tests::{
    Role, Shop,
    buying::{StockAudit, available, cart, last_segment, order, place, put, stocked},
    eventually,
    samples::{self, create},
    wait::{check, within},
};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn items_in_a_cart_are_reserved() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "T-1", 5).await;
    let path = cart(&shop.carol).await;
    let filled = put(&shop.carol, &path, &product, 2).await.expect(200).json();
    let item = json!({
        "product_id": product.id, "sku": "T-1", "name": "Stool T-1", "quantity": 2,
        "price": {"amount": "10.00", "currency": "EUR"},
    });
    assert_eq!(filled["items"], json!([item]));
    assert_eq!(filled["total"], json!({"amount": "20.00", "currency": "EUR"}));
    assert_eq!(shop.carol.get(&path).await.expect(200).json(), filled);
    assert_eq!(available(&shop.anyone, &product).await, 3);

    put(&shop.carol, &path, &product, 5).await.expect(200);
    assert_eq!(available(&shop.anyone, &product).await, 0);
    put(&shop.carol, &path, &product, 1).await.expect(200);
    assert_eq!(available(&shop.anyone, &product).await, 4);
    shop.carol.delete(&format!("{path}/items/{}", product.id)).await.expect(204);
    assert_eq!(available(&shop.anyone, &product).await, 5);
    shop.carol.delete(&format!("{path}/items/{}", product.id)).await.expect(204);
    StockAudit::read(&shop.database, &product.id).await.assert_total(5);
}

#[tokio::test]
async fn units_reserved_by_another_customer_are_not_available() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "T-1", 5).await;
    let carols = cart(&shop.carol).await;
    put(&shop.carol, &carols, &product, 4).await.expect(200);
    let daves = cart(&shop.dave).await;
    let rejected = put(&shop.dave, &daves, &product, 2).await;
    let problem = rejected.problem(409, "insufficient-stock");
    assert_eq!((&problem["errors"][0]["product_id"], &problem["errors"][0]["available"]), (&json!(product.id), &json!(1)));
    assert_eq!(problem["errors"][0]["pointer"], "#/quantity");
    // The available units include those that the customer has reserved already.
    let problem = put(&shop.carol, &carols, &product, 6).await.problem(409, "insufficient-stock");
    assert_eq!(problem["errors"][0]["available"], 5);
    order(&shop.dave, &[(&product, 2)]).await.problem(409, "insufficient-stock");
    order(&shop.dave, &[(&product, 1)]).await.expect(201);
    StockAudit::read(&shop.database, &product.id).await.assert_total(5);
}

#[tokio::test]
async fn a_fully_reserved_product_is_out_of_stock_and_not_listed() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "T-1", 2).await;
    let listed = async || shop.anyone.get("/v1/products").await.expect(200).json()["items"].as_array().unwrap().len();
    let in_stock = async || shop.anyone.get(&product.path).await.expect(200).json()["in_stock"].clone();
    let etag = shop.anyone.get(&product.path).await.expect(200).header("etag").to_owned();
    assert_eq!(listed().await, 1);
    let path = cart(&shop.carol).await;
    put(&shop.carol, &path, &product, 2).await.expect(200);
    assert_eq!((in_stock().await, listed().await), (json!(false), 0));
    shop.anyone.get(&product.path).header("if-none-match", &etag).await.expect(200);
    let any = shop.anyone.get("/v1/products?in_stock=any").await.expect(200).json();
    assert_eq!((&any["items"][0]["quantity"], &any["items"][0]["in_stock"]), (&json!(0), &json!(false)));
    shop.carol.delete(&path).await.expect(204);
    assert_eq!((in_stock().await, listed().await), (json!(true), 1));
    shop.carol.get(&path).await.problem(404, "not-found");
    shop.carol.delete(&path).await.problem(404, "not-found");
}

#[tokio::test]
async fn every_api_process_learns_that_a_product_is_out_of_stock() {
    let mut shop = Shop::api().await;
    let product = stocked(&shop.ada, "T-1", 1).await;
    let first = shop.process(Role::Serve).address("HTTP_ADDRESS").await;
    shop.start_role(Role::Serve).await;
    let read = async || {
        let body: Value = reqwest::get(format!("http://{first}{}", product.path)).await.unwrap().json().await.unwrap();
        body["in_stock"].clone()
    };
    assert_eq!(read().await, true);
    let path = cart(&shop.carol).await;
    put(&shop.carol, &path, &product, 1).await.expect(200);
    // Well before the cached copy would expire.
    within(Duration::from_secs(10), "the other process knows", async || {
        let in_stock = read().await;
        check(in_stock == false, || in_stock)
    })
    .await;
}

#[tokio::test]
async fn a_cart_is_accessible_only_to_its_customer() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "T-1", 5).await;
    let path = cart(&shop.carol).await;
    put(&shop.carol, &path, &product, 1).await.expect(200);
    shop.dave.get(&path).await.problem(404, "not-found");
    shop.dave.delete(&path).await.problem(404, "not-found");
    put(&shop.dave, &path, &product, 2).await.problem(404, "not-found");
    shop.dave.delete(&format!("{path}/items/{}", product.id)).await.problem(404, "not-found");
    place(&shop.dave, &json!({"cart_id": last_segment(&path)})).await.problem(404, "not-found");
    shop.anyone.get(&path).await.problem(401, "token-missing");
    shop.ada.get(&path).await.problem(403, "forbidden");
    shop.ada.post("/v1/carts", &json!({})).await.problem(403, "forbidden");
    assert_eq!(shop.carol.get(&path).await.expect(200).json()["items"][0]["quantity"], 1);
}

#[tokio::test]
async fn a_cart_shows_price_changes_and_deleted_products() {
    let shop = Shop::api().await;
    let (repriced, deleted, unchanged) =
        (stocked(&shop.ada, "A", 9).await, stocked(&shop.ada, "B", 9).await, stocked(&shop.ada, "C", 9).await);
    let path = cart(&shop.carol).await;
    for product in [&repriced, &deleted] {
        put(&shop.carol, &path, product, 1).await.expect(200);
    }
    let price = json!({"amount": "12.00", "currency": "EUR"});
    shop.ada.patch(&repriced.path, &json!({"price": price})).await.expect(200);
    shop.ada.delete(&deleted.path).await.expect(204);
    let filled = put(&shop.carol, &path, &unchanged, 1).await.expect(200).json();
    let changes = |cart: &Value| {
        let change = |item: &Value| (item["current_price"].clone(), item["product_deleted"].clone());
        cart["items"].as_array().unwrap().iter().map(change).collect::<Vec<_>>()
    };
    let nothing = (Value::Null, Value::Null);
    assert_eq!(changes(&filled), [(price, Value::Null), (Value::Null, json!(true)), nothing.clone()]);
    assert_eq!(shop.carol.get(&path).await.expect(200).json(), filled);

    put(&shop.carol, &path, &repriced, 1).await.expect(200);
    shop.carol.delete(&format!("{path}/items/{}", deleted.id)).await.expect(204);
    assert_eq!(changes(&shop.carol.get(&path).await.expect(200).json()), [nothing.clone(), nothing]);
    place(&shop.carol, &json!({"cart_id": last_segment(&path)})).await.expect(201);
}

#[tokio::test]
async fn invalid_quantities_and_unknown_products_are_rejected() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "T-1", 5).await;
    let path = cart(&shop.carol).await;
    for quantity in [json!(0), json!(-1), json!(1_000_001), json!(i64::MAX), json!(1e30), json!(1.5), json!("1"), json!(null)] {
        let call = shop.carol.request(Method::PUT, &format!("{path}/items/{}", product.id)).json(&json!({"quantity": quantity}));
        let reply = call.await;
        reply.problem(422, "invalid");
        assert_eq!(reply.pointers(), ["#/quantity"], "{quantity}");
    }
    for extra in ["price", "total", "currency"] {
        let body = json!({"quantity": 1, (extra): "1"});
        let reply = shop.carol.request(Method::PUT, &format!("{path}/items/{}", product.id)).json(&body).await;
        reply.problem(422, "invalid");
    }
    for nothing in ["019aa3f0-0000-7000-8000-000000000000", "nonsense"] {
        let reply = shop.carol.request(Method::PUT, &format!("{path}/items/{nothing}")).json(&json!({"quantity": 1})).await;
        reply.problem(404, "not-found");
    }
    shop.carol.post("/v1/carts", &json!({"total": 1})).await.problem(422, "invalid");
    shop.carol.post_empty("/v1/carts").await.expect(201);
    shop.carol.post("/v1/carts", &json!(null)).await.expect(201);
    assert_eq!(shop.carol.get(&path).await.expect(200).json()["items"], json!([]));
    assert_eq!(available(&shop.anyone, &product).await, 5);
}

#[tokio::test]
async fn the_number_of_carts_per_customer_is_limited() {
    let shop = Shop::api().await;
    for _ in 0..10 {
        cart(&shop.carol).await;
    }
    shop.carol.post("/v1/carts", &json!({})).await.problem(409, "too-many-carts");
    let calls = (0..30).map(|_| shop.dave.post("/v1/carts", &json!({})).into_future());
    let made = futures::future::join_all(calls).await.iter().filter(|reply| reply.status == 201).count();
    assert_eq!(made, 10, "concurrent requests exceed the limit");
}

#[tokio::test]
async fn a_product_without_tracked_stock_is_always_available() {
    let shop = Shop::api().await;
    let product = create(&shop.ada, &samples::plain("T-1")).await;
    let path = cart(&shop.carol).await;
    put(&shop.carol, &path, &product, 1_000_000).await.expect(200);
    // Its stock is tracked from now on, and the cart has reserved none of it.
    shop.ada.patch(&product.path, &json!({"quantity": 3})).await.expect(200);
    let problem = place(&shop.carol, &json!({"cart_id": last_segment(&path)})).await.problem(409, "insufficient-stock");
    assert_eq!((&problem["errors"][0]["available"], &problem["errors"][0]["pointer"]), (&json!(3), &json!("#/cart_id")));
    put(&shop.carol, &path, &product, 3).await.expect(200);
    place(&shop.carol, &json!({"cart_id": last_segment(&path)})).await.expect(201);
    StockAudit::read(&shop.database, &product.id).await.assert_total(3);
}

#[tokio::test]
async fn an_expired_cart_releases_its_reservations_within_five_seconds() {
    let shop = Shop::builder().only_api().setting("CART_TTL", "3s").start().await;
    let product = stocked(&shop.ada, "T-1", 5).await;
    let path = cart(&shop.carol).await;
    let filled = put(&shop.carol, &path, &product, 5).await.expect(200).json();
    let expires_at: chrono::DateTime<chrono::Utc> = filled["expires_at"].as_str().unwrap().parse().unwrap();
    let left = (expires_at - chrono::Utc::now()).to_std().unwrap_or_default();
    within(left + Duration::from_secs(5), "the stock is back", async || {
        let now = available(&shop.anyone, &product).await;
        check(now == 5, || now)
    })
    .await;
    assert!(chrono::Utc::now() >= expires_at, "too early");
    shop.carol.get(&path).await.problem(404, "not-found");
    put(&shop.carol, &path, &product, 1).await.problem(404, "not-found");
    place(&shop.carol, &json!({"cart_id": last_segment(&path)})).await.problem(404, "not-found");
    assert_eq!(shop.anyone.get(&product.path).await.expect(200).json()["in_stock"], true);
    StockAudit::read(&shop.database, &product.id).await.assert_total(5);
}

#[tokio::test]
async fn an_expired_cart_is_not_found_even_before_it_is_deleted() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "T-1", 5).await;
    let path = cart(&shop.carol).await;
    put(&shop.carol, &path, &product, 5).await.expect(200);
    // Locked by this transaction, so that the cart expiry skips it. The new time is visible only after the commit.
    let mut lock = shop.database.begin().await.unwrap();
    sqlx::query("UPDATE orders.carts SET expires_at = now() - interval '1 second'").execute(&mut *lock).await.unwrap();
    let ordering = tokio::spawn(place(&shop.carol, &json!({"cart_id": last_segment(&path)})).into_future());
    eventually("the order waits for the cart", async || {
        let waiting: i64 =
            sqlx::query_scalar("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
                .fetch_one(&shop.database)
                .await
                .unwrap();
        check(waiting > 0, || waiting)
    })
    .await;
    lock.commit().await.unwrap();
    ordering.await.unwrap().problem(404, "not-found");
    shop.carol.get(&path).await.problem(404, "not-found");
    eventually("the stock is back", async || {
        let now = available(&shop.anyone, &product).await;
        check(now == 5, || now)
    })
    .await;
}

#[tokio::test]
async fn expired_reservations_are_released_once_despite_several_processes_and_a_kill() {
    let mut shop = Shop::builder().only_api().allow_error_logs().start().await;
    shop.start_role(Role::Serve).await;
    let products = [stocked(&shop.ada, "A", 5000).await, stocked(&shop.ada, "B", 5000).await];
    // Inserted into the database, like those of a thousand customers.
    sqlx::query("INSERT INTO orders.carts SELECT gen_random_uuid(), gen_random_uuid(), now(), now() + interval '1 hour' FROM generate_series(1, 1000)")
        .execute(&shop.database)
        .await
        .unwrap();
    for (product, quantity) in [(&products[0], 1_i64), (&products[1], 2)] {
        sqlx::query("INSERT INTO orders.cart_items SELECT id, $1::uuid, 'A', 'A', 10, $2, $2, now() FROM orders.carts")
            .bind(&product.id)
            .bind(quantity)
            .execute(&shop.database)
            .await
            .unwrap();
        sqlx::query("UPDATE products.stock SET reserved = 1000 * $2 WHERE product_id = $1::uuid")
            .bind(&product.id)
            .bind(quantity)
            .execute(&shop.database)
            .await
            .unwrap();
    }
    let carts = async || sqlx::query_scalar::<_, i64>("SELECT count(*) FROM orders.carts").fetch_one(&shop.database).await.unwrap();
    sqlx::query("UPDATE orders.carts SET expires_at = now() - interval '1 second'").execute(&shop.database).await.unwrap();
    eventually("cart expiry has begun", async || {
        let left = carts().await;
        check(left < 1000, || left)
    })
    .await;
    shop.kill_and_restart(Role::Serve).await;
    eventually("all carts are deleted", async || {
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM orders.carts").fetch_one(&shop.database).await.unwrap();
        check(left == 0, || left)
    })
    .await;
    for product in &products {
        let audit = StockAudit::read(&shop.database, &product.id).await;
        audit.assert_total(5000);
        assert_eq!(audit.reserved, 0);
    }
}

#[tokio::test]
async fn removing_an_absent_item_does_not_extend_the_expiry() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "T-1", 5).await;
    let path = cart(&shop.carol).await;
    let before = shop.carol.get(&path).await.expect(200).json()["expires_at"].clone();
    shop.carol.delete(&format!("{path}/items/{}", product.id)).await.expect(204);
    assert_eq!(shop.carol.get(&path).await.expect(200).json()["expires_at"], before);
    let filled = put(&shop.carol, &path, &product, 1).await.expect(200).json();
    assert_ne!(filled["expires_at"], before);
}
