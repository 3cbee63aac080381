//! A customer who places orders.

use catalog_tests::{
    Api, Builder, Role, Shop,
    buying::stocked,
    people::CAROL,
    samples::Created,
    wait::{check, eventually},
};
use serde_json::{Value, json};

/// Mail address of the customer.
pub const BUYER: &str = CAROL.1;
/// Initial stock of the product.
pub const STOCK: i64 = 100;

/// A customer of a shop, signed in.
pub struct Buyer {
    pub api: Api,
    pub id: String,
}

impl Buyer {
    /// Orders one unit of each product and returns the id of the order.
    pub async fn place_order(&self, products: &[&Created], key: &str) -> String {
        let items: Vec<_> = products.iter().map(|product| json!({"product_id": product.id, "quantity": 1})).collect();
        let order = self.api.post("/v1/orders", &json!({"items": items})).header("idempotency-key", key).await.expect(201).json();
        assert_eq!(order["status"], "pending", "{order}");
        order["id"].as_str().unwrap().to_owned()
    }

    /// Cancels an order.
    pub async fn cancel_order(&self, order: &str) {
        let order = self.api.post_empty(&format!("/v1/orders/{order}/cancel")).await.expect(200).json();
        assert_eq!(order["status"], "cancelled", "{order}");
    }

    /// Reads an order.
    pub async fn read_order(&self, order: &str) -> Value {
        self.api.get(&format!("/v1/orders/{order}")).await.expect(200).json()
    }

    /// Waits until an order has a status, despite outages, and returns it.
    pub async fn wait_for_status(&self, order: &str, status: &str) -> Value {
        eventually(&format!("the order is {status}"), async || {
            let order = self.api.get(&format!("/v1/orders/{order}")).await.json();
            if order["status"] == status { Ok(order) } else { Err(order) }
        })
        .await
    }
}

/// The statuses in the history of an order.
pub fn statuses(order: &Value) -> Vec<String> {
    order["history"].as_array().unwrap().iter().map(|entry| entry["status"].as_str().unwrap().to_owned()).collect()
}

/// A shop with this fulfilment delay.
pub fn shop(roles: &[Role], delay: &str) -> Builder {
    Shop::builder().roles(roles).setting("FULFILMENT_DELAY", delay)
}

/// Starts a shop with a product and a customer.
pub async fn start(shop: Builder) -> (Shop, Created, Buyer) {
    let shop = shop.start().await;
    let stool = stocked(&shop.ada, "S-1", STOCK).await;
    let buyer = Buyer { api: shop.carol.clone(), id: shop.people.carol.id.clone() };
    (shop, stool, buyer)
}

/// Waits until everything in the outbox is published.
pub async fn wait_until_published(shop: &Shop) {
    eventually("all events are published", async || {
        let left: i64 =
            sqlx::query_scalar("SELECT count(*) FROM events.outbox WHERE published_at IS NULL").fetch_one(&shop.database).await.unwrap();
        check(left == 0, || left)
    })
    .await;
}
