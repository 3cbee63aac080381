//! Many customers compete for few units while processes are killed: no unit is lost or sold twice.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use catalog_tests::{
    Api, Reply, Role, Shop,
    buying::{self, StockAudit, last_segment, stocked},
    customer_sessions,
    samples::Created,
    wait::{check, eventually},
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{sync::RwLock, task::LocalSet};
use uuid::Uuid;

const CUSTOMERS: usize = 200;

/// Confirmed outcome of one customer.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Outcome {
    bought: i64,
    cancelled: i64,
}

/// A customer who retries, and who waits while the shop is restarted.
#[derive(Clone)]
struct Shopper {
    api: Api,
    closed: Arc<RwLock<()>>,
}

/// Repeats a request until it is answered. All requests of this test are idempotent.
async fn send_until_answered(shopper: &Shopper, method: Method, path: &str, key: &str, body: Option<&Value>) -> Reply {
    eventually(&format!("{method} {path} is answered"), async || {
        drop(shopper.closed.read().await);
        let mut call = shopper.api.request(method.clone(), path).header("idempotency-key", key);
        if let Some(body) = body {
            call = call.json(body);
        }
        let reply = call.attempt().await.map_err(|error| error.to_string())?;
        // The first request may still be in progress in the killed process.
        let waits = reply.status == 503 || reply.status == 409 && reply.text().contains("idempotency-key-in-use");
        check(!waits, || reply.text())?;
        Ok::<_, String>(reply)
    })
    .await
}

async fn order(customer: &Shopper, body: &Value) -> Option<String> {
    let reply = send_until_answered(customer, Method::POST, "/v1/orders", &Uuid::now_v7().to_string(), Some(body)).await;
    match reply.status {
        201 => Some(reply.json()["id"].as_str().unwrap().to_owned()),
        409 => None,
        other => panic!("{other}: {}", reply.text()),
    }
}

/// Orders directly or from a cart; some customers remove the item or cancel the order.
async fn shop_once(customer: Shopper, number: usize, product: Created) -> Outcome {
    let placed = if number.is_multiple_of(2) {
        order(&customer, &json!({"items": [{"product_id": product.id, "quantity": 1}]})).await
    } else {
        let made = send_until_answered(&customer, Method::POST, "/v1/carts", "-", Some(&json!({}))).await.expect(201).json();
        let cart = format!("/v1/carts/{}", made["id"].as_str().unwrap());
        let item = format!("{cart}/items/{}", product.id);
        let reserved = send_until_answered(&customer, Method::PUT, &item, "-", Some(&json!({"quantity": 1}))).await;
        match (reserved.status, number % 10) {
            (409, _) => None,
            (200, 9) => {
                send_until_answered(&customer, Method::DELETE, &item, "-", None).await.expect(204);
                None
            }
            (200, _) => order(&customer, &json!({"cart_id": last_segment(&cart)})).await,
            (other, _) => panic!("{other}: {}", reserved.text()),
        }
    };
    let Some(id) = placed else { return Outcome::default() };
    if number % 7 == 3 {
        send_until_answered(&customer, Method::POST, &format!("/v1/orders/{id}/cancel"), "-", None).await.expect(200);
        return Outcome { bought: 1, cancelled: 1 };
    }
    Outcome { bought: 1, cancelled: 0 }
}

async fn race(units: i64) {
    let mut shop = Shop::builder().only_api().allow_error_logs().start().await;
    let product = stocked(&shop.ada, "prize", units).await;
    let customers = customer_sessions::customers(&shop, CUSTOMERS).await;
    let (done, closed) = (Arc::<AtomicUsize>::default(), Arc::<RwLock<()>>::default());
    let shopping = customers.into_iter().enumerate().map(|(number, api)| {
        let (product, done, customer) = (product.clone(), done.clone(), Shopper { api, closed: closed.clone() });
        tokio::task::spawn_local(async move {
            let outcome = shop_once(customer, number, product).await;
            done.fetch_add(1, Ordering::Relaxed);
            outcome
        })
    });
    let shopping: Vec<_> = shopping.collect();
    for kills in 1..=4 {
        eventually("more customers have finished", async || {
            let done = done.load(Ordering::Relaxed);
            check(done >= kills * CUSTOMERS / 6, || done)
        })
        .await;
        let _closed = closed.write().await;
        shop.kill_and_restart(Role::Serve).await;
    }
    let mut all = Outcome::default();
    for outcome in shopping {
        let Outcome { bought, cancelled } = outcome.await.unwrap();
        all = Outcome { bought: all.bought + bought, cancelled: all.cancelled + cancelled };
    }
    let audit = StockAudit::read(&shop.database, &product.id).await;
    audit.assert_total(units);
    assert_eq!(audit.sold, all.bought - all.cancelled, "the responses disagree with the sold units: {audit:?}");
    // No order was rejected in error: the remaining units can be ordered.
    let left = audit.on_hand - audit.reserved;
    if left > 0 {
        buying::order(&shop.carol, &[(&product, left)]).await.expect(201);
    }
    buying::order(&shop.carol, &[(&product, 1)]).await.problem(409, "insufficient-stock");
    assert!(all.bought >= units / 2, "{} of {units} bought by {CUSTOMERS}", all.bought);
    let placed: i64 = sqlx::query_scalar("SELECT count(*) FROM orders.orders").fetch_one(&shop.database).await.unwrap();
    assert_eq!(placed, all.bought + i64::from(left > 0), "an order was placed twice, or one is missing");
}

#[tokio::test]
async fn one_unit_is_sold_once_to_two_hundred_customers() {
    LocalSet::new().run_until(race(1)).await;
}

#[tokio::test]
async fn ten_units_are_sold_once_to_two_hundred_customers() {
    LocalSet::new().run_until(race(10)).await;
}

#[tokio::test]
async fn a_hundred_units_are_sold_once_to_two_hundred_customers() {
    LocalSet::new().run_until(race(100)).await;
}

/// Customers order several products, each in another order, while admins import the same products atomically, in yet another
/// order: no transaction deadlocks.
#[tokio::test]
async fn orders_and_imports_of_the_same_products_in_any_order_never_deadlock() {
    let shop = Shop::api().await;
    // The order of their skus is the reverse of that of their ids, and they are far apart in an import.
    let mut products = Vec::new();
    for sku in ["Z", "Y", "B", "A"] {
        products.push(stocked(&shop.ada, sku, 100_000).await);
    }
    let row = |sku: &str| json!({"sku": sku, "name": format!("Stool {sku}"), "price": {"amount": "10.00", "currency": "EUR"}, "quantity": 100_000});
    let between: Vec<_> = (0..600).map(|number| row(&format!("M-{number:03}"))).collect();
    let all: Vec<_> = ["A", "B", "Y", "Z"].map(row).into_iter().chain(between).collect();
    let import = async || {
        for _ in 0..8 {
            shop.ada.post("/v1/products/bulk?atomic=true", &json!({"items": all})).await.expect(200);
        }
    };
    let customers = customer_sessions::customers(&shop, 12).await;
    let buy = async |number: usize, customer: &Api| {
        let mut products: Vec<&Created> = products.iter().collect();
        for round in 0..15 {
            products.rotate_left(1 + (number + round) % 3);
            let items: Vec<_> = products.iter().map(|product| (*product, 1)).collect();
            buying::order(customer, &items).await.expect(201);
        }
    };
    let buying = customers.iter().enumerate().map(|(number, customer)| buy(number, customer));
    tokio::join!(import(), import(), futures::future::join_all(buying));
    for product in &products {
        let audit = StockAudit::read(&shop.database, &product.id).await;
        assert_eq!((audit.sold, audit.ledger), (180, audit.on_hand));
    }
}
