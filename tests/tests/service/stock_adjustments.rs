//! Stock adjustments by admins, and the ledger.

use catalog_tests::{
    Api, Reply, Shop,
    buying::{StockAudit, available, cart, order, put, stocked},
    samples::{self, Created, create},
};
use serde_json::{Value, json};

async fn adjust(admin: &Api, product: &Created, body: &Value) -> Reply {
    admin.post(&product.at("stock-adjustments"), body).await
}

async fn ledger(admin: &Api, product: &Created) -> Vec<(String, i64, Option<String>)> {
    let page = admin.get(&product.at("stock-movements")).await.expect(200).json();
    let entry = |movement: &Value| {
        let kind = movement["kind"].as_str().unwrap().to_owned();
        (kind, movement["delta"].as_i64().unwrap(), movement["reason"].as_str().map(str::to_owned))
    };
    page["items"].as_array().unwrap().iter().map(entry).collect()
}

#[tokio::test]
async fn adjustments_are_recorded_with_their_reason() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "T-1", 10).await;
    let fewer = adjust(&shop.ada, &product, &json!({"delta": -3, "reason": "broken"})).await.expect(200).json();
    assert_eq!((&fewer["on_hand"], &fewer["reserved"], &fewer["quantity"]), (&json!(7), &json!(0), &json!(7)));
    adjust(&shop.ada, &product, &json!({"delta": 5, "reason": "delivered"})).await.expect(200);
    adjust(&shop.ada, &product, &json!({"quantity": 4, "reason": "counted"})).await.expect(200);
    assert_eq!(available(&shop.anyone, &product).await, 4);
    let reason = |text: &str| Some(text.to_owned());
    let expected = [
        ("count".to_owned(), -8, reason("counted")),
        ("adjustment".to_owned(), 5, reason("delivered")),
        ("adjustment".to_owned(), -3, reason("broken")),
        ("count".to_owned(), 10, None),
    ];
    assert_eq!(ledger(&shop.ada, &product).await, expected);
    StockAudit::read(&shop.database, &product.id).await.assert_total(4);
}

#[tokio::test]
async fn quantities_set_by_patches_and_imports_are_recorded() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "T-1", 10).await;
    shop.ada.patch(&product.path, &json!({"quantity": 6})).await.expect(200);
    shop.ada.patch(&product.path, &json!({"quantity": 6})).await.expect(200);
    let mut row = samples::plain("T-1");
    row["quantity"] = json!(9);
    shop.ada.post("/v1/products/bulk", &json!({"items": [row]})).await.expect(200);
    let deltas: Vec<i64> = ledger(&shop.ada, &product).await.into_iter().map(|(_, delta, _)| delta).collect();
    assert_eq!(deltas, [3, -4, 10]);
    StockAudit::read(&shop.database, &product.id).await.assert_total(9);
}

#[tokio::test]
async fn units_removed_by_a_purge_are_recorded() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "T-1", 10).await;
    let sold = order(&shop.carol, &[(&product, 2)]).await.expect(201).json();
    put(&shop.carol, &cart(&shop.carol).await, &product, 3).await.expect(200);
    shop.grace.delete(&format!("{}?purge=true", product.path)).await.expect(204);
    // The stock of a purged product cannot be returned.
    shop.carol.post_empty(&format!("/v1/orders/{}/cancel", sold["id"].as_str().unwrap())).await.expect(200);
    let entries: Vec<_> = ledger(&shop.ada, &product).await.into_iter().map(|(kind, delta, _)| (kind, delta)).collect();
    assert_eq!(entries, [("purge".to_owned(), -8), ("sale".to_owned(), -2), ("count".to_owned(), 10)]);
    let latest = shop.ada.get(&product.at("stock-movements?limit=1")).await.expect(200).json();
    assert_eq!(latest["items"][0]["actor_id"], shop.people.grace.id);
}

#[tokio::test]
async fn reserved_units_stay_reserved_after_a_count() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "T-1", 10).await;
    let cart = cart(&shop.carol).await;
    put(&shop.carol, &cart, &product, 4).await.expect(200);
    let level = adjust(&shop.ada, &product, &json!({"quantity": 1, "reason": "counted"})).await.expect(200).json();
    assert_eq!((&level["on_hand"], &level["reserved"], &level["quantity"]), (&json!(5), &json!(4), &json!(1)));
    let rejected = adjust(&shop.ada, &product, &json!({"delta": -2, "reason": "broken"})).await;
    assert!(rejected.problem(409, "insufficient-stock")["detail"].as_str().unwrap().contains("at most 1,"), "{}", rejected.text());
    StockAudit::read(&shop.database, &product.id).await.assert_total(5);
}

#[tokio::test]
async fn a_delta_of_untracked_stock_is_rejected_until_a_count() {
    let shop = Shop::api().await;
    let product = create(&shop.ada, &samples::plain("T-1")).await;
    adjust(&shop.ada, &product, &json!({"delta": 1, "reason": "delivered"})).await.problem(409, "stock-not-tracked");
    assert_eq!(ledger(&shop.ada, &product).await, []);
    adjust(&shop.ada, &product, &json!({"quantity": 0, "reason": "none yet"})).await.expect(200);
    assert_eq!(shop.anyone.get(&product.path).await.expect(200).json()["in_stock"], false);
    adjust(&shop.ada, &product, &json!({"delta": 1, "reason": "delivered"})).await.expect(200);
    assert_eq!(shop.anyone.get(&product.path).await.expect(200).json()["in_stock"], true);
}

#[tokio::test]
async fn an_ambiguous_or_invalid_adjustment_is_rejected() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "T-1", 10).await;
    for (body, pointer) in [
        (json!({"reason": "x"}), "#/delta"),
        (json!({"delta": 1, "quantity": 2, "reason": "x"}), "#/delta"),
        (json!({"delta": 0, "reason": "x"}), "#/delta"),
        (json!({"delta": 1_000_000_001, "reason": "x"}), "#/delta"),
        (json!({"delta": 1_000_000_000, "reason": "x"}), "#/delta"),
        (json!({"quantity": -1, "reason": "x"}), "#/quantity"),
        (json!({"delta": 1.5, "reason": "x"}), "#/delta"),
        (json!({"delta": 1, "reason": " "}), "#/reason"),
        (json!({"delta": 1, "reason": "x", "on_hand": 5}), "#/on_hand"),
    ] {
        let reply = adjust(&shop.ada, &product, &body).await;
        reply.problem(422, "invalid");
        assert_eq!(reply.pointers(), [pointer], "{body}");
    }
    adjust(&shop.ada, &product, &json!({"delta": 1})).await.problem(422, "invalid");
    assert_eq!(available(&shop.anyone, &product).await, 10);
}

#[tokio::test]
async fn an_adjustment_repeated_with_its_key_is_applied_once() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "T-1", 10).await;
    let send = async || {
        let call = shop.ada.post(&product.at("stock-adjustments"), &json!({"delta": -1, "reason": "broken"}));
        call.header("idempotency-key", "one").await.expect(200)
    };
    assert_eq!(send().await.body, send().await.body);
    assert_eq!(available(&shop.anyone, &product).await, 9);
}

#[tokio::test]
async fn only_admins_adjust_stock_and_read_movements() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "T-1", 10).await;
    let body = json!({"delta": 1, "reason": "x"});
    adjust(&shop.anyone, &product, &body).await.problem(401, "token-missing");
    adjust(&shop.carol, &product, &body).await.problem(403, "forbidden");
    shop.anyone.get(&product.at("stock-movements")).await.problem(401, "token-missing");
    shop.carol.get(&product.at("stock-movements")).await.problem(403, "forbidden");
    let unknown = "/v1/products/019aa3f0-0000-7000-8000-000000000000";
    shop.ada.post(&format!("{unknown}/stock-adjustments"), &body).await.problem(404, "not-found");
    shop.ada.get(&format!("{unknown}/stock-movements")).await.problem(404, "not-found");
}

#[tokio::test]
async fn movements_are_listed_in_pages_with_their_orders() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "T-1", 10).await;
    let placed = order(&shop.carol, &[(&product, 2)]).await.expect(201).json();
    let path = product.at("stock-movements");
    let first = shop.ada.get(&format!("{path}?limit=1")).await.expect(200);
    assert!(first.header("link").contains("rel=\"next\""));
    let first = first.json();
    assert_eq!((&first["items"][0]["kind"], &first["items"][0]["delta"]), (&json!("sale"), &json!(-2)));
    assert_eq!(first["items"][0]["order_id"], placed["id"]);
    assert_eq!(first["items"][0]["actor_id"], shop.people.carol.id);
    let next = shop.ada.get(&format!("{path}?limit=1&cursor={}", first["next_cursor"].as_str().unwrap())).await.expect(200).json();
    assert_eq!((&next["items"][0]["delta"], &next["next_cursor"]), (&json!(10), &Value::Null));
}
