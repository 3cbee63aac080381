//! Orders for admins: lists, changes of status and exports.

use catalog_tests::{
    Shop,
    buying::{StockAudit, order, stocked},
};
use serde_json::{Value, json};

async fn placed(shop: &Shop, quantity: i64) -> (catalog_tests::samples::Created, String) {
    let product = stocked(&shop.ada, "A", 10).await;
    let placed = order(&shop.carol, &[(&product, quantity)]).await.expect(201).json();
    (product, format!("/v1/orders/{}", placed["id"].as_str().unwrap()))
}

#[tokio::test]
async fn a_confirmed_and_fulfilled_order_has_a_complete_history() {
    let shop = Shop::api().await;
    let (product, path) = placed(&shop, 2).await;
    shop.ada.patch(&path, &json!({"status": "confirmed"})).await.expect(200);
    let fulfilled = shop.grace.patch(&path, &json!({"status": "fulfilled", "reason": "picked up"})).await.expect(200).json();
    let steps: Vec<_> = fulfilled["history"].as_array().unwrap().iter().map(|entry| (&entry["status"], &entry["by"])).collect();
    let (customer, admin) = (json!("customer"), json!("admin"));
    assert_eq!(steps, [(&json!("pending"), &customer), (&json!("confirmed"), &admin), (&json!("fulfilled"), &admin)]);
    assert_eq!(fulfilled["history"][2]["reason"], "picked up");
    assert_eq!(shop.carol.get(&path).await.expect(200).json(), fulfilled);
    StockAudit::read(&shop.database, &product.id).await.assert_total(10);
}

#[tokio::test]
async fn an_order_never_moves_back_and_returns_its_stock_once() {
    let shop = Shop::api().await;
    let (product, path) = placed(&shop, 2).await;
    shop.ada.patch(&path, &json!({"status": "fulfilled"})).await.problem(409, "order-status");
    shop.ada.patch(&path, &json!({"status": "failed", "reason": "lost in the warehouse"})).await.expect(200);
    for status in ["pending", "confirmed", "fulfilled", "cancelled"] {
        shop.ada.patch(&path, &json!({"status": status})).await.problem(409, "order-status");
    }
    shop.carol.post_empty(&format!("{path}/cancel")).await.problem(409, "order-status");
    shop.ada.patch(&path, &json!({"status": "failed"})).await.expect(200);
    let audit = StockAudit::read(&shop.database, &product.id).await;
    audit.assert_total(10);
    assert_eq!(audit.on_hand, 10);
}

#[tokio::test]
async fn an_unknown_status_is_rejected() {
    let shop = Shop::api().await;
    let (_, path) = placed(&shop, 2).await;
    for body in [json!({"status": "shipped"}), json!({}), json!({"status": null}), json!({"status": "confirmed", "total": 1})] {
        shop.ada.patch(&path, &body).await.problem(422, "invalid");
    }
    shop.carol.patch(&path, &json!({"status": "fulfilled"})).await.problem(403, "forbidden");
    assert_eq!(shop.ada.get(&path).await.expect(200).json()["status"], "pending");
}

#[tokio::test]
async fn orders_are_filtered_by_status_customer_and_time() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "A", 10).await;
    let carols = order(&shop.carol, &[(&product, 1)]).await.expect(201).json();
    let daves = order(&shop.dave, &[(&product, 1)]).await.expect(201).json();
    shop.ada.patch(&format!("/v1/orders/{}", carols["id"].as_str().unwrap()), &json!({"status": "confirmed"})).await.expect(200);
    let found = async |query: &str| -> Vec<Value> {
        let page = shop.ada.get(&format!("/v1/orders?{query}")).await.expect(200).json();
        page["items"].as_array().unwrap().iter().map(|order| order["id"].clone()).collect()
    };
    let (carols_id, daves_id) = (carols["id"].clone(), daves["id"].clone());
    assert_eq!(found("").await, [daves_id.clone(), carols_id.clone()]);
    assert_eq!(found("status=pending").await, std::slice::from_ref(&daves_id));
    assert_eq!(found(&format!("customer_id={}", shop.people.carol.id)).await, std::slice::from_ref(&carols_id));
    let time = daves["created_at"].as_str().unwrap();
    assert_eq!(found(&format!("from={time}")).await, [daves_id]);
    assert_eq!(found(&format!("to={time}")).await, std::slice::from_ref(&carols_id));
    assert_eq!(found("from=0000-01-01T00:00:00Z&to=9999-12-31T23:59:59.999Z").await, [daves["id"].clone(), carols_id]);
    assert_eq!(found("to=0169-10-11T06:59:35Z").await, [Value::Null; 0]);
    for bad in [
        "status=new",
        "customer_id=7",
        "from=yesterday",
        "from=%2B12026-11-01T00:00:00Z",
        "to=2026-11-1T0:0:0Z",
        "to=2026-11-01%2000:00:00Z",
        "to=2026-11-01T00:00:00%2B0100",
        "colour=red",
        "cursor=x",
    ] {
        shop.ada.get(&format!("/v1/orders?{bad}")).await.problem(400, "invalid-parameters");
    }
}

#[tokio::test]
async fn an_export_has_one_row_per_order_line() {
    let shop = Shop::api().await;
    let mut formula = catalog_tests::samples::plain("F");
    formula["name"] = json!("=HYPERLINK(\"http://x\")");
    let formula = catalog_tests::samples::create(&shop.ada, &formula).await;
    let product = stocked(&shop.ada, "A", 10).await;
    let order = order(&shop.carol, &[(&product, 3), (&formula, 1)]).await.expect(201).json();
    let reply = shop.ada.get("/v1/orders/export").await.expect(200);
    assert!(reply.header("content-type").starts_with("text/csv"), "{:?}", reply.headers);
    assert!(reply.header("content-disposition").contains("orders.csv"));
    let text = reply.text();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header: Vec<_> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 2, "{text}");
    let cell = |row: usize, name: &str| rows[row][header.iter().position(|column| column == name).unwrap()].to_owned();
    assert_eq!((cell(0, "order_id"), cell(0, "status")), (order["id"].as_str().unwrap().to_owned(), "pending".to_owned()));
    assert_eq!((cell(0, "sku"), cell(0, "quantity"), cell(0, "line_total")), ("A".into(), "3".into(), "30.00".into()));
    assert_eq!(cell(1, "name"), "'=HYPERLINK(\"http://x\")");
    assert_eq!(shop.ada.get("/v1/orders/export?status=failed").await.expect(200).text().lines().count(), 1);
    shop.carol.get("/v1/orders/export").await.problem(403, "forbidden");
    shop.anyone.get("/v1/orders/export").await.problem(401, "token-missing");
}

#[tokio::test]
async fn an_export_of_many_orders_is_complete() {
    let shop = Shop::api().await;
    let product = stocked(&shop.ada, "A", 1000).await;
    for _ in 0..450 {
        order(&shop.carol, &[(&product, 1)]).await.expect(201);
    }
    let text = shop.ada.get("/v1/orders/export").await.expect(200).text();
    let ids: std::collections::BTreeSet<_> = text.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!((ids.len(), text.lines().count()), (450, 451));
}
