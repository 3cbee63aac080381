//! Orders: everything or nothing, at the shop's prices, once.

use catalog_tests::{
    Shop,
    buying::{Whereabouts, available, cart, id_of, order, place, put, stocked},
    eventually,
    samples::{self, Created, create},
    wait::holds,
};
use serde_json::{Value, json};

fn euros(amount: &str) -> Value {
    json!({"amount": amount, "currency": "EUR"})
}

#[tokio::test]
async fn an_order_has_the_names_and_prices_of_its_moment() {
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
async fn not_enough_of_one_product_orders_nothing_and_names_each_short_line() {
    let shop = Shop::api().await;
    let products = [stocked(&shop.ada, "A", 1).await, stocked(&shop.ada, "B", 9).await, stocked(&shop.ada, "C", 0).await];
    let wanted = [(&products[0], 2), (&products[1], 9), (&products[2], 1)];
    let problem = order(&shop.carol, &wanted).await.problem(409, "insufficient-stock");
    let short: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|e| (&e["pointer"], &e["product_id"], &e["available"])).collect();
    let (first, third) = (json!("#/items/0/quantity"), json!("#/items/2/quantity"));
    let (a, c) = (json!(products[0].id), json!(products[2].id));
    assert_eq!(short, [(&first, &a, &json!(1)), (&third, &c, &json!(0))]);
    assert_eq!(available(&shop.anyone, &products[1]).await, 9);
    assert_eq!(shop.carol.get("/v1/orders").await.expect(200).json()["items"], json!([]));
}

#[tokio::test]
async fn an_order_needs_a_key_and_the_same_request_again_is_the_same_order() {
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
    send(&json!({"items": [{"product_id": product.id, "quantity": 1}]})).await.problem(422, "idempotency-key-reused");
    // Somebody else's key of the same name is another key.
    shop.dave.post("/v1/orders", &body).header("idempotency-key", "mine").await.expect(201);
    assert_eq!(available(&shop.anyone, &product).await, 1);
}

#[tokio::test]
async fn the_same_request_many_times_at_once_is_one_order() {
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
async fn a_cart_is_ordered_with_what_it_holds_and_is_gone_then() {
    let shop = Shop::api().await;
    let products = [stocked(&shop.ada, "A", 3).await, stocked(&shop.ada, "B", 3).await];
    let path = cart(&shop.carol).await;
    put(&shop.carol, &path, &products[0], 3).await.expect(200);
    put(&shop.carol, &path, &products[1], 1).await.expect(200);
    let placed = place(&shop.carol, &json!({"cart_id": id_of(&path)})).await.expect(201).json();
    assert_eq!((&placed["total"], placed["items"].as_array().unwrap().len()), (&euros("40.00"), 2));
    shop.carol.get(&path).await.problem(404, "not-found");
    place(&shop.carol, &json!({"cart_id": id_of(&path)})).await.problem(404, "not-found");
    for product in &products {
        let whereabouts = Whereabouts::of(&shop.database, &product.id).await;
        whereabouts.adds_up_to(3);
        assert_eq!(whereabouts.reserved, 0);
    }
}

#[tokio::test]
async fn a_cart_is_not_ordered_when_the_catalogue_has_changed_and_says_what() {
    let shop = Shop::api().await;
    let (dear, gone) = (stocked(&shop.ada, "A", 3).await, stocked(&shop.ada, "B", 3).await);
    let path = cart(&shop.carol).await;
    put(&shop.carol, &path, &dear, 2).await.expect(200);
    put(&shop.carol, &path, &gone, 1).await.expect(200);
    shop.ada.patch(&dear.path, &json!({"price": euros("12.00")})).await.expect(200);
    shop.ada.delete(&gone.path).await.expect(204);
    let problem = place(&shop.carol, &json!({"cart_id": id_of(&path)})).await.problem(409, "cart-changed");
    let told: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|e| (&e["product_id"], e["detail"].as_str().unwrap())).collect();
    assert_eq!(told[0].0, &json!(dear.id));
    assert!(told[0].1.contains("12.00 EUR") && told[0].1.contains("10.00 EUR"), "{told:?}");
    assert_eq!(told[1].0, &json!(gone.id));
    // The cart still holds what it held, and can be put right.
    assert_eq!(available(&shop.anyone, &dear).await, 1);
    shop.carol.delete(&format!("{path}/items/{}", gone.id)).await.expect(204);
    put(&shop.carol, &path, &dear, 2).await.expect(200);
    let placed = place(&shop.carol, &json!({"cart_id": id_of(&path)})).await.expect(201).json();
    assert_eq!(placed["total"], euros("24.00"));
}

/// Somebody holds the stock of a product, as an order that is being committed does.
async fn holding<'a>(shop: &'a Shop, product: &Created) -> sqlx::Transaction<'a, sqlx::Postgres> {
    let mut held = shop.database.begin().await.unwrap();
    sqlx::query("SELECT FROM products.stock WHERE product_id = $1::uuid FOR UPDATE").bind(&product.id).execute(&mut *held).await.unwrap();
    held
}

#[tokio::test]
async fn an_order_that_waited_for_stock_is_not_placed_at_the_price_of_before() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "A", 5).await;
    let held = holding(&shop, &product).await;
    let body = json!({"items": [{"product_id": product.id, "quantity": 1}]});
    let send = || shop.carol.post("/v1/orders", &body).header("idempotency-key", "mine");
    let ordering = tokio::spawn(send().into_future());
    eventually("the order waits", async || {
        let waiting: i64 =
            sqlx::query_scalar("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
                .fetch_one(&shop.database)
                .await
                .unwrap();
        holds(waiting > 0, || waiting)
    })
    .await;
    shop.ada.patch(&product.path, &json!({"price": euros("12.00")})).await.expect(200);
    held.rollback().await.unwrap();
    let placed = ordering.await.unwrap().expect(201);
    assert_eq!(placed.json()["total"], euros("12.00"));
    assert_eq!(send().await.expect(201).body, placed.body);
    assert_eq!(available(&shop.anyone, &product).await, 4);
    Whereabouts::of(&shop.database, &product.id).await.adds_up_to(5);
}

#[tokio::test]
async fn who_holds_stock_for_ever_does_not_hold_up_the_shop() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "A", 5).await;
    let held = holding(&shop, &product).await;
    // More than the process has connections.
    let calls = (0..12).map(|_| tokio::spawn(order(&shop.carol, &[(&product, 1)]).into_future()));
    let calls: Vec<_> = calls.collect();
    for call in calls {
        call.await.unwrap().problem(503, "unavailable");
    }
    shop.carol.get("/v1/orders").await.expect(200);
    held.rollback().await.unwrap();
    order(&shop.carol, &[(&product, 5)]).await.expect(201);
}

#[tokio::test]
async fn an_empty_cart_is_no_order() {
    let shop = Shop::api().await;
    let path = cart(&shop.carol).await;
    place(&shop.carol, &json!({"cart_id": id_of(&path)})).await.problem(409, "cart-empty");
    shop.carol.get(&path).await.expect(200);
}

#[tokio::test]
async fn bad_orders_are_refused_with_the_place_of_each_fault() {
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
async fn orders_are_their_customers_alone() {
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
async fn cancelling_gives_the_stock_back_once() {
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
    Whereabouts::of(&shop.database, &product.id).await.adds_up_to(5);
    shop.carol.post(&cancel, &json!({"reason": ""})).await.problem(422, "invalid");
}

#[tokio::test]
async fn history_is_walked_page_by_page_the_latest_first() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "A", 50).await;
    let mut placed = Vec::new();
    for _ in 0..5 {
        placed.push(order(&shop.carol, &[(&product, 1)]).await.expect(201).json()["id"].clone());
    }
    placed.reverse();
    let mut walked = Vec::new();
    let mut path = "/v1/orders?limit=2".to_owned();
    loop {
        let page = shop.carol.get(&path).await.expect(200).json();
        walked.extend(page["items"].as_array().unwrap().iter().map(|order| order["id"].clone()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/orders?limit=2&cursor={cursor}");
    }
    assert_eq!(walked, placed);
}
