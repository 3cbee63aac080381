//! An order, by a fulfiller that sleeps whenever it can.

use catalog_tests::{Api, buying, wait};
use serde_json::{Value, json};

use crate::{
    scaling::AUTOSCALERS,
    shop::{PATIENCE, Shop},
    usage,
};

/// Who buys, and gets mail about it.
const CUSTOMER: (&str, &str, &str) = ("carol", "carol@example.com", "a passphrase of carol");

/// An order that is confirmed, and has time until it is fulfilled.
pub struct Confirmed {
    id: String,
}

/// Lets the fulfiller sleep, and sees it woken by the message of an order.
pub async fn confirm(shop: &Shop) -> Confirmed {
    shop.patch(json!({"spec": {"fulfiller": {"autoscaling": {"minReplicas": 0}}}})).await;
    shop.is_ready().await;
    sleeps(shop).await;
    let product = &usage::paths(shop).await[2];
    let before = units(shop, product).await;
    let (username, email, password) = CUSTOMER;
    shop.anyone.post("/v1/customers", &json!({"username": username, "email": email, "password": password})).await.expect(201);
    let items = json!({"items": [{"product_id": buying::id_of(product), "quantity": 2}]});
    let placed = buying::place(&customer(shop).await, &items).await.expect(201).json();
    assert_eq!(placed["status"], "pending");
    let order = Confirmed { id: placed["id"].as_str().unwrap().to_owned() };
    // Or it would be an order that waits too long, for which the clock wakes the fulfiller after a minute.
    order.put_off(shop, "created_at").await;
    order.comes_to(shop, "confirmed").await;
    order.put_off(shop, "fulfil_at").await;
    assert_eq!(units(shop, product).await, before - 2);
    order
}

/// Sees it sleep again, and woken by the clock, without any message.
pub async fn fulfil(shop: &Shop, confirmed: Confirmed) {
    sleeps(shop).await;
    let due = "UPDATE orders.orders SET fulfil_at = now() WHERE id = $1::uuid AND status = 'confirmed'";
    let due = sqlx::query(due).bind(&confirmed.id).execute(&mut shop.database().await).await.unwrap();
    assert_eq!(due.rows_affected(), 1);
    let order = confirmed.comes_to(shop, "fulfilled").await;
    let steps: Vec<_> = order["history"].as_array().unwrap().iter().map(|entry| entry["status"].as_str().unwrap()).collect();
    assert_eq!(steps, ["pending", "confirmed", "fulfilled"]);
    for step in ["placed", "confirmed", "fulfilled"] {
        shop.inbox.mail_about(CUSTOMER.1, &format!("Order {step}")).await;
    }
}

impl Confirmed {
    /// Moves a time of it away, that nothing may happen by the clock.
    async fn put_off(&self, shop: &Shop, column: &str) {
        let put_off = format!("UPDATE orders.orders SET {column} = now() + interval '1 day' WHERE id = $1::uuid");
        sqlx::query(sqlx::AssertSqlSafe(put_off)).bind(&self.id).execute(&mut shop.database().await).await.unwrap();
    }

    async fn comes_to(&self, shop: &Shop, status: &str) -> Value {
        let customer = customer(shop).await;
        wait::within(PATIENCE, &format!("the order is {status}"), async || {
            let order = customer.get(&format!("/v1/orders/{}", self.id)).await.expect(200).json();
            if order["status"] == status { Ok(order) } else { Err(order) }
        })
        .await
    }
}

async fn units(shop: &Shop, product: &str) -> i64 {
    shop.anyone.get(&format!("{product}/stock")).await.expect(200).json()["quantity"].as_i64().unwrap()
}

async fn sleeps(shop: &Shop) {
    wait::within(AUTOSCALERS, "the fulfiller sleeps", async || {
        let replicas = shop.replicas("shop-fulfiller").await;
        wait::holds(replicas == (0, 0), || replicas)
    })
    .await;
}

/// The customer, signed in.
async fn customer(shop: &Shop) -> Api {
    let (username, _, password) = CUSTOMER;
    let credentials = json!({"username": username, "password": password});
    let tokens = shop.anyone.post("/v1/auth/login", &credentials).await.expect(200).json();
    shop.anyone.with_token(tokens["access_token"].as_str().unwrap())
}
