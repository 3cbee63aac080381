//! What admins say of stock, and the ledger that explains every unit.

use catalog_tests::{
    Api, Reply, Shop,
    buying::{Whereabouts, available, cart, order, put, stocked},
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
async fn stock_comes_and_goes_with_a_reason() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "T-1", 10).await;
    let fewer = adjust(&shop.ada, &product, &json!({"delta": -3, "reason": "broken"})).await.expect(200).json();
    assert_eq!((&fewer["on_hand"], &fewer["reserved"], &fewer["quantity"]), (&json!(7), &json!(0), &json!(7)));
    adjust(&shop.ada, &product, &json!({"delta": 5, "reason": "delivered"})).await.expect(200);
    adjust(&shop.ada, &product, &json!({"quantity": 4, "reason": "counted"})).await.expect(200);
    assert_eq!(available(&shop.anyone, &product).await, 4);
    let said = |text: &str| Some(text.to_owned());
    let expected = [
        ("count".to_owned(), -8, said("counted")),
        ("adjustment".to_owned(), 5, said("delivered")),
        ("adjustment".to_owned(), -3, said("broken")),
        ("count".to_owned(), 10, None),
    ];
    assert_eq!(ledger(&shop.ada, &product).await, expected);
    Whereabouts::of(&shop.database, &product.id).await.adds_up_to(4);
}

#[tokio::test]
async fn a_quantity_in_a_patch_or_an_import_is_in_the_ledger_too() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "T-1", 10).await;
    shop.ada.patch(&product.path, &json!({"quantity": 6})).await.expect(200);
    shop.ada.patch(&product.path, &json!({"quantity": 6})).await.expect(200);
    let mut row = samples::plain("T-1");
    row["quantity"] = json!(9);
    shop.ada.post("/v1/products/bulk", &json!({"items": [row]})).await.expect(200);
    let deltas: Vec<i64> = ledger(&shop.ada, &product).await.into_iter().map(|(_, delta, _)| delta).collect();
    assert_eq!(deltas, [3, -4, 10]);
    Whereabouts::of(&shop.database, &product.id).await.adds_up_to(9);
}

#[tokio::test]
async fn what_a_purge_takes_away_is_in_the_ledger_too() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "T-1", 10).await;
    let sold = order(&shop.carol, &[(&product, 2)]).await.expect(201).json();
    put(&shop.carol, &cart(&shop.carol).await, &product, 3).await.expect(200);
    shop.grace.delete(&format!("{}?purge=true", product.path)).await.expect(204);
    // There is nothing that it could come back to.
    shop.carol.post_empty(&format!("/v1/orders/{}/cancel", sold["id"].as_str().unwrap())).await.expect(200);
    let entries: Vec<_> = ledger(&shop.ada, &product).await.into_iter().map(|(kind, delta, _)| (kind, delta)).collect();
    assert_eq!(entries, [("purge".to_owned(), -8), ("sale".to_owned(), -2), ("count".to_owned(), 10)]);
    let latest = shop.ada.get(&product.at("stock-movements?limit=1")).await.expect(200).json();
    assert_eq!(latest["items"][0]["actor_id"], shop.people.grace.id);
}

#[tokio::test]
async fn what_carts_hold_stays_theirs_whatever_is_counted() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "T-1", 10).await;
    let cart = cart(&shop.carol).await;
    put(&shop.carol, &cart, &product, 4).await.expect(200);
    let level = adjust(&shop.ada, &product, &json!({"quantity": 1, "reason": "counted"})).await.expect(200).json();
    assert_eq!((&level["on_hand"], &level["reserved"], &level["quantity"]), (&json!(5), &json!(4), &json!(1)));
    let refused = adjust(&shop.ada, &product, &json!({"delta": -2, "reason": "broken"})).await;
    assert!(refused.problem(409, "insufficient-stock")["detail"].as_str().unwrap().contains("Only 1 can go"), "{}", refused.text());
    Whereabouts::of(&shop.database, &product.id).await.adds_up_to(5);
}

#[tokio::test]
async fn what_is_not_tracked_has_to_be_counted_first() {
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
async fn an_adjustment_that_says_nothing_clear_is_refused_and_changes_nothing() {
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
async fn an_adjustment_sent_again_under_its_key_happens_once() {
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
async fn stock_is_for_admins_to_adjust_and_to_explain() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "T-1", 10).await;
    let body = json!({"delta": 1, "reason": "x"});
    adjust(&shop.anyone, &product, &body).await.problem(401, "token-missing");
    adjust(&shop.carol, &product, &body).await.problem(403, "forbidden");
    shop.anyone.get(&product.at("stock-movements")).await.problem(401, "token-missing");
    shop.carol.get(&product.at("stock-movements")).await.problem(403, "forbidden");
    let nobody = "/v1/products/019aa3f0-0000-7000-8000-000000000000";
    shop.ada.post(&format!("{nobody}/stock-adjustments"), &body).await.problem(404, "not-found");
    shop.ada.get(&format!("{nobody}/stock-movements")).await.problem(404, "not-found");
}

#[tokio::test]
async fn the_ledger_is_walked_page_by_page_and_names_orders() {
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
