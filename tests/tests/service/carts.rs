//! Carts: what is in one is reserved for its customer, and comes back once.

use catalog_tests::{
    Role, Shop,
    buying::{Whereabouts, available, cart, id_of, order, place, put, stocked},
    eventually,
    samples::{self, create},
    wait::{holds, within},
};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn what_is_put_into_a_cart_is_reserved() {
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
    Whereabouts::of(&shop.database, &product.id).await.adds_up_to(5);
}

#[tokio::test]
async fn what_others_hold_cannot_be_had() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "T-1", 5).await;
    let carols = cart(&shop.carol).await;
    put(&shop.carol, &carols, &product, 4).await.expect(200);
    let daves = cart(&shop.dave).await;
    let refused = put(&shop.dave, &daves, &product, 2).await;
    let problem = refused.problem(409, "insufficient-stock");
    assert_eq!((&problem["errors"][0]["product_id"], &problem["errors"][0]["available"]), (&json!(product.id), &json!(1)));
    assert_eq!(problem["errors"][0]["pointer"], "#/quantity");
    // Of what one holds already, more can be had up to what is left.
    let problem = put(&shop.carol, &carols, &product, 6).await.problem(409, "insufficient-stock");
    assert_eq!(problem["errors"][0]["available"], 5);
    order(&shop.dave, &[(&product, 2)]).await.problem(409, "insufficient-stock");
    order(&shop.dave, &[(&product, 1)]).await.expect(201);
    Whereabouts::of(&shop.database, &product.id).await.adds_up_to(5);
}

#[tokio::test]
async fn a_product_that_is_all_reserved_is_out_of_stock_and_leaves_the_list() {
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
async fn every_api_process_hears_that_a_product_is_out_of_stock() {
    let mut shop = Shop::api().await;
    let product = stocked(&shop.ada, "T-1", 1).await;
    let first = shop.process(Role::Serve).address("HTTP_ADDRESS").await;
    shop.open(Role::Serve).await;
    let read = async || {
        let body: Value = reqwest::get(format!("http://{first}{}", product.path)).await.unwrap().json().await.unwrap();
        body["in_stock"].clone()
    };
    assert_eq!(read().await, true);
    let path = cart(&shop.carol).await;
    put(&shop.carol, &path, &product, 1).await.expect(200);
    // Long before its copy would be too old anyway.
    within(Duration::from_secs(10), "the other process knows", async || {
        let in_stock = read().await;
        holds(in_stock == false, || in_stock)
    })
    .await;
}

#[tokio::test]
async fn a_cart_is_its_customers_alone() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "T-1", 5).await;
    let path = cart(&shop.carol).await;
    put(&shop.carol, &path, &product, 1).await.expect(200);
    shop.dave.get(&path).await.problem(404, "not-found");
    shop.dave.delete(&path).await.problem(404, "not-found");
    put(&shop.dave, &path, &product, 2).await.problem(404, "not-found");
    shop.dave.delete(&format!("{path}/items/{}", product.id)).await.problem(404, "not-found");
    place(&shop.dave, &json!({"cart_id": id_of(&path)})).await.problem(404, "not-found");
    shop.anyone.get(&path).await.problem(401, "token-missing");
    shop.ada.get(&path).await.problem(403, "forbidden");
    shop.ada.post("/v1/carts", &json!({})).await.problem(403, "forbidden");
    assert_eq!(shop.carol.get(&path).await.expect(200).json()["items"][0]["quantity"], 1);
}

#[tokio::test]
async fn a_cart_tells_what_has_changed_since_it_was_filled() {
    let shop = Shop::api().await;
    let (dearer, gone, same) = (stocked(&shop.ada, "A", 9).await, stocked(&shop.ada, "B", 9).await, stocked(&shop.ada, "C", 9).await);
    let path = cart(&shop.carol).await;
    for product in [&dearer, &gone] {
        put(&shop.carol, &path, product, 1).await.expect(200);
    }
    let price = json!({"amount": "12.00", "currency": "EUR"});
    shop.ada.patch(&dearer.path, &json!({"price": price})).await.expect(200);
    shop.ada.delete(&gone.path).await.expect(204);
    let filled = put(&shop.carol, &path, &same, 1).await.expect(200).json();
    let changes = |cart: &Value| {
        let change = |item: &Value| (item["current_price"].clone(), item["gone"].clone());
        cart["items"].as_array().unwrap().iter().map(change).collect::<Vec<_>>()
    };
    let nothing = (Value::Null, Value::Null);
    assert_eq!(changes(&filled), [(price, Value::Null), (Value::Null, json!(true)), nothing.clone()]);
    assert_eq!(shop.carol.get(&path).await.expect(200).json(), filled);

    put(&shop.carol, &path, &dearer, 1).await.expect(200);
    shop.carol.delete(&format!("{path}/items/{}", gone.id)).await.expect(204);
    assert_eq!(changes(&shop.carol.get(&path).await.expect(200).json()), [nothing.clone(), nothing]);
    place(&shop.carol, &json!({"cart_id": id_of(&path)})).await.expect(201);
}

#[tokio::test]
async fn absurd_quantities_and_unknown_products_change_nothing() {
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
async fn nobody_hoards_with_carts_without_end() {
    let shop = Shop::api().await;
    for _ in 0..10 {
        cart(&shop.carol).await;
    }
    shop.carol.post("/v1/carts", &json!({})).await.problem(409, "too-many-carts");
    let calls = (0..30).map(|_| shop.dave.post("/v1/carts", &json!({})).into_future());
    let made = futures::future::join_all(calls).await.iter().filter(|reply| reply.status == 201).count();
    assert_eq!(made, 10, "all at once is not more");
}

#[tokio::test]
async fn a_product_whose_stock_is_not_tracked_is_never_short() {
    let shop = Shop::api().await;
    let product = create(&shop.ada, &samples::plain("T-1")).await;
    let path = cart(&shop.carol).await;
    put(&shop.carol, &path, &product, 1_000_000).await.expect(200);
    // From now on it is tracked, and the cart holds nothing of it.
    shop.ada.patch(&product.path, &json!({"quantity": 3})).await.expect(200);
    let problem = place(&shop.carol, &json!({"cart_id": id_of(&path)})).await.problem(409, "insufficient-stock");
    assert_eq!((&problem["errors"][0]["available"], &problem["errors"][0]["pointer"]), (&json!(3), &json!("#/cart_id")));
    put(&shop.carol, &path, &product, 3).await.expect(200);
    place(&shop.carol, &json!({"cart_id": id_of(&path)})).await.expect(201);
    Whereabouts::of(&shop.database, &product.id).await.adds_up_to(3);
}

#[tokio::test]
async fn a_cart_that_nobody_touches_gives_everything_back_within_five_seconds_of_its_time() {
    let shop = Shop::builder().only_api().setting("CART_TTL", "3s").start().await;
    let product = stocked(&shop.ada, "T-1", 5).await;
    let path = cart(&shop.carol).await;
    let filled = put(&shop.carol, &path, &product, 5).await.expect(200).json();
    let expires_at: chrono::DateTime<chrono::Utc> = filled["expires_at"].as_str().unwrap().parse().unwrap();
    let left = (expires_at - chrono::Utc::now()).to_std().unwrap_or_default();
    within(left + Duration::from_secs(5), "the stock is back", async || {
        let now = available(&shop.anyone, &product).await;
        holds(now == 5, || now)
    })
    .await;
    assert!(chrono::Utc::now() >= expires_at, "too early");
    shop.carol.get(&path).await.problem(404, "not-found");
    put(&shop.carol, &path, &product, 1).await.problem(404, "not-found");
    place(&shop.carol, &json!({"cart_id": id_of(&path)})).await.problem(404, "not-found");
    assert_eq!(shop.anyone.get(&product.path).await.expect(200).json()["in_stock"], true);
    Whereabouts::of(&shop.database, &product.id).await.adds_up_to(5);
}

#[tokio::test]
async fn a_cart_past_its_time_is_gone_even_before_it_is_swept() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "T-1", 5).await;
    let path = cart(&shop.carol).await;
    put(&shop.carol, &path, &product, 5).await.expect(200);
    // Aged, and held by somebody, so that the sweep skips it. Nobody else sees that it is aged until then.
    let mut held = shop.database.begin().await.unwrap();
    sqlx::query("UPDATE orders.carts SET expires_at = now() - interval '1 second'").execute(&mut *held).await.unwrap();
    let ordering = tokio::spawn(place(&shop.carol, &json!({"cart_id": id_of(&path)})).into_future());
    eventually("the order waits for the cart", async || {
        let waiting: i64 =
            sqlx::query_scalar("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
                .fetch_one(&shop.database)
                .await
                .unwrap();
        holds(waiting > 0, || waiting)
    })
    .await;
    held.commit().await.unwrap();
    ordering.await.unwrap().problem(404, "not-found");
    shop.carol.get(&path).await.problem(404, "not-found");
    eventually("the stock is back", async || {
        let now = available(&shop.anyone, &product).await;
        holds(now == 5, || now)
    })
    .await;
}

#[tokio::test]
async fn expired_stock_comes_back_once_though_every_process_sweeps_and_one_dies() {
    let mut shop = Shop::builder().only_api().troubled().start().await;
    shop.open(Role::Serve).await;
    let products = [stocked(&shop.ada, "A", 5000).await, stocked(&shop.ada, "B", 5000).await];
    // As a thousand customers would fill them.
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
    eventually("the sweep has begun", async || {
        let left = carts().await;
        holds(left < 1000, || left)
    })
    .await;
    shop.kill_and_restart(Role::Serve).await;
    eventually("all is swept", async || {
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM orders.carts").fetch_one(&shop.database).await.unwrap();
        holds(left == 0, || left)
    })
    .await;
    for product in &products {
        let whereabouts = Whereabouts::of(&shop.database, &product.id).await;
        whereabouts.adds_up_to(5000);
        assert_eq!(whereabouts.reserved, 0);
    }
}

#[tokio::test]
async fn taking_out_what_is_not_there_keeps_no_cart_alive() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "T-1", 5).await;
    let path = cart(&shop.carol).await;
    let before = shop.carol.get(&path).await.expect(200).json()["expires_at"].clone();
    shop.carol.delete(&format!("{path}/items/{}", product.id)).await.expect(204);
    assert_eq!(shop.carol.get(&path).await.expect(200).json()["expires_at"], before);
    let filled = put(&shop.carol, &path, &product, 1).await.expect(200).json();
    assert_ne!(filled["expires_at"], before);
}
