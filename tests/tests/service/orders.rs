//! Orders: all items or none, at the catalogue's prices, placed once.

use catalog_tests::{
    Role, Shop,
    buying::{StockAudit, available, cart, last_segment, order, place, put, stocked},
    eventually,
    samples::{self, Created, create},
    wait::check,
};
use serde_json::{Value, json};

fn euros(amount: &str) -> Value {
    json!({"amount": amount, "currency": "EUR"})
}

#[tokio::test]
async fn an_order_keeps_the_names_and_prices_of_the_time_it_was_placed() {
    let shop = Shop::api().await;
    let stool = stocked(&shop.ada, "S", 5).await;
    let table = create(&shop.ada, &samples::product("T")).await;
    let reply = order(&shop.carol, &[(&stool, 3), (&table, 1)]).await.expect(201);
    let placed = reply.json();
    assert_eq!(reply.header("location"), format!("http://shop.test/v1/orders/{}", placed["id"].as_str().unwrap()));
    assert_eq!((&placed["status"], &placed["total"]), (&json!("pending"), &euros("1025.50")));
    let lines = json!([
        {"product_id": stool.id, "sku": "S", "name": "Stool S", "price": euros("10.00"), "quantity": 3, "line_total": euros("30.00")},
        {"product_id": table.id, "sku": "T", "name": "Bar table T", "price": euros("995.50"), "quantity": 1, "line_total": euros("995.50")},
    ]);
    assert_eq!(placed["items"], lines);
    assert_eq!(placed["history"], json!([{"status": "pending", "at": placed["created_at"], "by": "customer"}]));
    assert_eq!(available(&shop.anyone, &stool).await, 2);

    shop.ada.patch(&stool.path, &json!({"price": euros("11.00"), "name": "Chair"})).await.expect(200);
    shop.ada.delete(&table.path).await.expect(204);
    let path = format!("/v1/orders/{}", placed["id"].as_str().unwrap());
    assert_eq!(shop.carol.get(&path).await.expect(200).json(), placed);
}

#[tokio::test]
async fn insufficient_stock_rejects_the_order_and_lists_each_shortage() {
    let shop = Shop::api().await;
    let products = [stocked(&shop.ada, "A", 1).await, stocked(&shop.ada, "B", 9).await, stocked(&shop.ada, "C", 0).await];
    let items = [(&products[0], 2), (&products[1], 9), (&products[2], 1)];
    let problem = order(&shop.carol, &items).await.problem(409, "insufficient-stock");
    let short: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|e| (&e["pointer"], &e["product_id"], &e["available"])).collect();
    let (first, third) = (json!("#/items/0/quantity"), json!("#/items/2/quantity"));
    let (a, c) = (json!(products[0].id), json!(products[2].id));
    assert_eq!(short, [(&first, &a, &json!(1)), (&third, &c, &json!(0))]);
    assert_eq!(available(&shop.anyone, &products[1]).await, 9);
    assert_eq!(shop.carol.get("/v1/orders").await.expect(200).json()["items"], json!([]));
}

#[tokio::test]
async fn an_order_requires_an_idempotency_key_and_a_repeated_request_returns_the_same_order() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "A", 5).await;
    let body = json!({"items": [{"product_id": product.id, "quantity": 2}]});
    let without = shop.carol.post("/v1/orders", &body).await;
    without.problem(400, "invalid-parameters");
    assert_eq!(without.pointers(), ["Idempotency-Key"]);
    let send = |body: &Value| shop.carol.post("/v1/orders", body).header("idempotency-key", "mine");
    let first = send(&body).await.expect(201);
    let again = send(&body).await.expect(201);
    assert_eq!((&first.body, first.header("location")), (&again.body, again.header("location")));
    assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), ("", "true"));
    send(&json!({"items": [{"product_id": product.id, "quantity": 1}]})).await.problem(422, "idempotency-key-reused");
    // A key is scoped to its customer.
    shop.dave.post("/v1/orders", &body).header("idempotency-key", "mine").await.expect(201);
    assert_eq!(available(&shop.anyone, &product).await, 1);
}

#[tokio::test]
async fn only_committed_orders_are_counted() {
    let mut shop = Shop::api().await;
    let product = stocked(&shop.ada, "A", 5).await;
    let send = |quantity: i64, key: &str| {
        let body = json!({"items": [{"product_id": product.id, "quantity": quantity}]});
        shop.carol.post("/v1/orders", &body).header("idempotency-key", key)
    };
    send(2, "mine").await.expect(201);
    // Written and stored, then rejected and rolled back.
    send(9, "another").await.problem(409, "insufficient-stock");
    send(2, "mine").await.expect(201);
    assert_eq!(shop.metric(Role::Serve, "orders_placed_total", &[]).await, Some(1.0));
}

#[tokio::test]
async fn a_key_is_free_again_when_the_response_arrives() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "A", 1).await;
    for _ in 0..50 {
        let body = json!({"items": [{"product_id": product.id, "quantity": 2}]});
        shop.carol.post("/v1/orders", &body).header("idempotency-key", "mine").await.problem(409, "insufficient-stock");
    }
    let body = json!({"items": [{"product_id": product.id, "quantity": 1}]});
    for _ in 0..50 {
        shop.carol.post("/v1/orders", &body).header("idempotency-key", "mine").await.expect(201);
    }
}

#[tokio::test]
async fn concurrent_requests_with_the_same_key_place_one_order() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "A", 100).await;
    let body = json!({"items": [{"product_id": product.id, "quantity": 1}]});
    let calls = (0..20).map(|_| shop.carol.post("/v1/orders", &body).header("idempotency-key", "mine").into_future());
    let replies = futures::future::join_all(calls).await;
    assert!(replies.iter().all(|reply| matches!(reply.status, 201 | 409)), "{replies:?}");
    assert!(replies.iter().any(|reply| reply.status == 201));
    assert_eq!(available(&shop.anyone, &product).await, 99);
    assert_eq!(shop.carol.get("/v1/orders").await.expect(200).json()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn ordering_a_cart_sells_its_reservations_and_deletes_it() {
    let shop = Shop::api().await;
    let products = [stocked(&shop.ada, "A", 3).await, stocked(&shop.ada, "B", 3).await];
    let path = cart(&shop.carol).await;
    put(&shop.carol, &path, &products[0], 3).await.expect(200);
    put(&shop.carol, &path, &products[1], 1).await.expect(200);
    let placed = place(&shop.carol, &json!({"cart_id": last_segment(&path)})).await.expect(201).json();
    assert_eq!((&placed["total"], placed["items"].as_array().unwrap().len()), (&euros("40.00"), 2));
    shop.carol.get(&path).await.problem(404, "not-found");
    place(&shop.carol, &json!({"cart_id": last_segment(&path)})).await.problem(404, "not-found");
    for product in &products {
        let audit = StockAudit::read(&shop.database, &product.id).await;
        audit.assert_total(3);
        assert_eq!(audit.reserved, 0);
    }
}

#[tokio::test]
async fn a_cart_with_changed_prices_or_deleted_products_is_rejected_with_the_differences() {
    let shop = Shop::api().await;
    let (repriced, deleted) = (stocked(&shop.ada, "A", 3).await, stocked(&shop.ada, "B", 3).await);
    let path = cart(&shop.carol).await;
    put(&shop.carol, &path, &repriced, 2).await.expect(200);
    put(&shop.carol, &path, &deleted, 1).await.expect(200);
    shop.ada.patch(&repriced.path, &json!({"price": euros("12.00")})).await.expect(200);
    shop.ada.delete(&deleted.path).await.expect(204);
    let problem = place(&shop.carol, &json!({"cart_id": last_segment(&path)})).await.problem(409, "cart-changed");
    let differences: Vec<_> =
        problem["errors"].as_array().unwrap().iter().map(|e| (&e["product_id"], e["detail"].as_str().unwrap())).collect();
    assert_eq!(differences[0].0, &json!(repriced.id));
    assert!(differences[0].1.contains("12.00 EUR") && differences[0].1.contains("10.00 EUR"), "{differences:?}");
    assert_eq!(differences[1].0, &json!(deleted.id));
    // The cart keeps its reservations, and the customer can correct it.
    assert_eq!(available(&shop.anyone, &repriced).await, 1);
    shop.carol.delete(&format!("{path}/items/{}", deleted.id)).await.expect(204);
    put(&shop.carol, &path, &repriced, 2).await.expect(200);
    let placed = place(&shop.carol, &json!({"cart_id": last_segment(&path)})).await.expect(201).json();
    assert_eq!(placed["total"], euros("24.00"));
}

/// Locks the stock of a product, as an order does before its commit.
async fn lock_stock<'a>(shop: &'a Shop, product: &Created) -> sqlx::Transaction<'a, sqlx::Postgres> {
    let mut lock = shop.database.begin().await.unwrap();
    sqlx::query("SELECT FROM products.stock WHERE product_id = $1::uuid FOR UPDATE").bind(&product.id).execute(&mut *lock).await.unwrap();
    lock
}

#[tokio::test]
async fn an_order_that_waited_for_stock_is_placed_at_the_new_price() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "A", 5).await;
    let lock = lock_stock(&shop, &product).await;
    let body = json!({"items": [{"product_id": product.id, "quantity": 1}]});
    let send = || shop.carol.post("/v1/orders", &body).header("idempotency-key", "mine");
    let ordering = tokio::spawn(send().into_future());
    eventually("the order waits", async || {
        let waiting: i64 =
            sqlx::query_scalar("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
                .fetch_one(&shop.database)
                .await
                .unwrap();
        check(waiting > 0, || waiting)
    })
    .await;
    shop.ada.patch(&product.path, &json!({"price": euros("12.00")})).await.expect(200);
    lock.rollback().await.unwrap();
    let placed = ordering.await.unwrap().expect(201);
    assert_eq!(placed.json()["total"], euros("12.00"));
    assert_eq!(send().await.expect(201).body, placed.body);
    assert_eq!(available(&shop.anyone, &product).await, 4);
    StockAudit::read(&shop.database, &product.id).await.assert_total(5);
}

#[tokio::test]
async fn a_long_lock_on_stock_does_not_block_other_requests() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "A", 5).await;
    let lock = lock_stock(&shop, &product).await;
    // More than the process has connections.
    let calls = (0..12).map(|_| tokio::spawn(order(&shop.carol, &[(&product, 1)]).into_future()));
    let calls: Vec<_> = calls.collect();
    for call in calls {
        call.await.unwrap().problem(503, "unavailable");
    }
    shop.carol.get("/v1/orders").await.expect(200);
    lock.rollback().await.unwrap();
    order(&shop.carol, &[(&product, 5)]).await.expect(201);
}

#[tokio::test]
async fn an_empty_cart_cannot_be_ordered() {
    let shop = Shop::api().await;
    let path = cart(&shop.carol).await;
    place(&shop.carol, &json!({"cart_id": last_segment(&path)})).await.problem(409, "cart-empty");
    shop.carol.get(&path).await.expect(200);
}

#[tokio::test]
async fn invalid_orders_are_rejected_with_the_pointer_of_each_error() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "A", 5).await;
    let line = |quantity: Value| json!({"product_id": product.id, "quantity": quantity});
    let unknown = "019aa3f0-0000-7000-8000-000000000000";
    let endless: Vec<_> = (0..500).map(|_| line(json!(1))).collect();
    for (body, pointers) in [
        (json!({}), vec!["#"]),
        (json!({"items": [line(json!(1))], "cart_id": unknown}), vec!["#"]),
        (json!({"items": []}), vec!["#/items"]),
        (json!({"items": endless}), vec!["#/items"]),
        (json!({"items": [line(json!(0))]}), vec!["#/items/0/quantity"]),
        (json!({"items": [line(json!(-1))]}), vec!["#/items/0/quantity"]),
        (json!({"items": [line(json!(i64::MAX))]}), vec!["#/items/0/quantity"]),
        (json!({"items": [line(json!(1e300))]}), vec!["#/items/0/quantity"]),
        (json!({"items": [line(json!(0.5))]}), vec!["#/items/0/quantity"]),
        (json!({"items": [line(json!(1)), line(json!(1))]}), vec!["#/items/1/product_id"]),
        (json!({"items": [{"product_id": "x", "quantity": 1}]}), vec!["#/items/0/product_id"]),
        (json!({"items": [line(json!(1))], "total": "1.00"}), vec!["#/total"]),
        (json!({"items": [line(json!(1))], "status": "fulfilled"}), vec!["#/status"]),
        (json!({"items": [line(json!(1))], "currency": "USD"}), vec!["#/currency"]),
        (json!({"items": [{"product_id": product.id, "quantity": 1, "price": euros("0.01")}]}), vec!["#/items/0/price"]),
    ] {
        let reply = place(&shop.carol, &body).await;
        reply.problem(422, "invalid");
        assert_eq!(reply.pointers(), pointers, "{}", reply.text());
    }
    let reply = place(&shop.carol, &json!({"items": [line(json!(1)), {"product_id": unknown, "quantity": 1}]})).await;
    reply.problem(422, "unknown-product");
    assert_eq!(reply.pointers(), ["#/items/1/product_id"]);
    place(&shop.carol, &json!({"cart_id": unknown})).await.problem(404, "not-found");
    assert_eq!(available(&shop.anyone, &product).await, 5);
    assert_eq!(shop.carol.get("/v1/orders").await.expect(200).json()["items"], json!([]));
}

#[tokio::test]
async fn a_deleted_product_cannot_be_ordered() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "A", 5).await;
    shop.ada.delete(&product.path).await.expect(204);
    assert_eq!(order(&shop.carol, &[(&product, 1)]).await.pointers(), ["#/items/0/product_id"]);
}

#[tokio::test]
async fn an_order_is_accessible_only_to_its_customer() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "A", 5).await;
    let placed = order(&shop.carol, &[(&product, 1)]).await.expect(201).json();
    let path = format!("/v1/orders/{}", placed["id"].as_str().unwrap());
    shop.dave.get(&path).await.problem(404, "not-found");
    shop.dave.post_empty(&format!("{path}/cancel")).await.problem(404, "not-found");
    assert_eq!(shop.dave.get("/v1/orders").await.expect(200).json()["items"], json!([]));
    let reply = shop.dave.get(&format!("/v1/orders?customer_id={}", shop.people.carol.id)).await;
    reply.problem(400, "invalid-parameters");
    shop.anyone.get(&path).await.problem(401, "token-missing");
    order(&shop.anyone, &[(&product, 1)]).await.problem(401, "token-missing");
    order(&shop.ada, &[(&product, 1)]).await.problem(403, "forbidden");
    assert_eq!(shop.carol.get(&path).await.expect(200).json()["status"], "pending");
}

#[tokio::test]
async fn cancelling_returns_the_stock_once() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "A", 5).await;
    let placed = order(&shop.carol, &[(&product, 5)]).await.expect(201).json();
    assert_eq!(shop.anyone.get(&product.path).await.expect(200).json()["in_stock"], false);
    let cancel = format!("/v1/orders/{}/cancel", placed["id"].as_str().unwrap());
    let calls = (0..10).map(|_| shop.carol.post(&cancel, &json!({"reason": "changed my mind"})).into_future());
    for reply in futures::future::join_all(calls).await {
        assert_eq!(reply.expect(200).json()["status"], "cancelled");
    }
    shop.carol.post(&cancel, &json!(null)).await.expect(200);
    let again = shop.carol.post_empty(&cancel).await.expect(200).json();
    assert_eq!(again["history"].as_array().unwrap().len(), 2);
    assert_eq!((&again["history"][1]["by"], &again["history"][1]["reason"]), (&json!("customer"), &json!("changed my mind")));
    assert_eq!(shop.anyone.get(&product.path).await.expect(200).json()["in_stock"], true);
    StockAudit::read(&shop.database, &product.id).await.assert_total(5);
    shop.carol.post(&cancel, &json!({"reason": ""})).await.problem(422, "invalid");
}

#[tokio::test]
async fn orders_are_listed_in_pages_newest_first() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "A", 50).await;
    let mut placed = Vec::new();
    for _ in 0..5 {
        placed.push(order(&shop.carol, &[(&product, 1)]).await.expect(201).json()["id"].clone());
    }
    placed.reverse();
    let mut listed = Vec::new();
    let mut path = "/v1/orders?limit=2".to_owned();
    loop {
        let page = shop.carol.get(&path).await.expect(200).json();
        listed.extend(page["items"].as_array().unwrap().iter().map(|order| order["id"].clone()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/orders?limit=2&cursor={cursor}");
    }
    assert_eq!(listed, placed);
}
