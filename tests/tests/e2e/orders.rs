//! An order, with a fulfiller that scales to zero.

use catalog_tests::{Api, buying, wait};
use serde_json::{Value, json};

use crate::{
    scaling::AUTOSCALERS,
    shop::{Shop, TIMEOUT},
    usage,
};

/// Username, email address and password of the customer.
const CUSTOMER: (&str, &str, &str) = ("carol", "carol@example.com", "a passphrase of carol");

/// A confirmed order that is not due.
pub struct Confirmed {
    id: String,
}

/// Scales the fulfiller to zero, and checks that the event of an order scales it up.
pub async fn confirm(shop: &Shop) -> Confirmed {
    shop.patch(json!({"spec": {"fulfiller": {"autoscaling": {"minReplicas": 0}}}})).await;
    shop.becomes_ready().await;
    fulfiller_is_at_zero(shop).await;
    let product = &usage::paths(shop).await[2];
    let before = units(shop, product).await;
    let (username, email, password) = CUSTOMER;
    shop.anyone.post("/v1/customers", &json!({"username": username, "email": email, "password": password})).await.expect(201);
    let items = json!({"items": [{"product_id": buying::last_segment(product), "quantity": 2}]});
    let placed = buying::place(&customer(shop).await, &items).await.expect(201).json();
    assert_eq!(placed["status"], "pending");
    let order = Confirmed { id: placed["id"].as_str().unwrap().to_owned() };
    // Otherwise the trigger for orders that are pending for a minute could scale the fulfiller up.
    order.postpone(shop, "created_at").await;
    order.reaches(shop, "confirmed").await;
    order.postpone(shop, "fulfil_at").await;
    assert_eq!(units(shop, product).await, before - 2);
    order
}

/// Waits until the fulfiller is at zero again, and checks that a due order scales it up, without an event.
pub async fn fulfil(shop: &Shop, confirmed: Confirmed) {
    fulfiller_is_at_zero(shop).await;
    let due = "UPDATE orders.orders SET fulfil_at = now() WHERE id = $1::uuid AND status = 'confirmed'";
    let due = sqlx::query(due).bind(&confirmed.id).execute(&mut shop.database().await).await.unwrap();
    assert_eq!(due.rows_affected(), 1);
    let order = confirmed.reaches(shop, "fulfilled").await;
    let steps: Vec<_> = order["history"].as_array().unwrap().iter().map(|entry| entry["status"].as_str().unwrap()).collect();
    assert_eq!(steps, ["pending", "confirmed", "fulfilled"]);
    for step in ["placed", "confirmed", "fulfilled"] {
        shop.inbox.mail_about(CUSTOMER.1, &format!("Order {step}")).await;
    }
}

impl Confirmed {
    /// Sets a time of the order to tomorrow.
    async fn postpone(&self, shop: &Shop, column: &str) {
        let postpone = format!("UPDATE orders.orders SET {column} = now() + interval '1 day' WHERE id = $1::uuid");
        sqlx::query(sqlx::AssertSqlSafe(postpone)).bind(&self.id).execute(&mut shop.database().await).await.unwrap();
    }

    async fn reaches(&self, shop: &Shop, status: &str) -> Value {
        let customer = customer(shop).await;
        wait::within(TIMEOUT, &format!("the order is {status}"), async || {
            let order = customer.get(&format!("/v1/orders/{}", self.id)).await.expect(200).json();
            if order["status"] == status { Ok(order) } else { Err(order) }
        })
        .await
    }
}

async fn units(shop: &Shop, product: &str) -> i64 {
    shop.anyone.get(&format!("{product}/stock")).await.expect(200).json()["quantity"].as_i64().unwrap()
}

async fn fulfiller_is_at_zero(shop: &Shop) {
    wait::within(AUTOSCALERS, "the fulfiller is scaled to zero", async || {
        let replicas = shop.replicas("shop-fulfiller").await;
        wait::check(replicas == (0, 0), || replicas)
    })
    .await;
}

/// Signs the customer in.
async fn customer(shop: &Shop) -> Api {
    let (username, _, password) = CUSTOMER;
    let credentials = json!({"username": username, "password": password});
    let tokens = shop.anyone.post("/v1/auth/login", &credentials).await.expect(200).json();
    shop.anyone.with_token(tokens["access_token"].as_str().unwrap())
}
