//! A customer who buys.

use catalog_tests::{
    Api, Builder, Role, Shop,
    buying::stocked,
    people::CAROL,
    samples::Created,
    wait::{eventually, holds},
};
use serde_json::{Value, json};

/// Address of the customer.
pub const BUYER: &str = CAROL.1;
/// Units of the product that there are at first.
pub const STOCK: i64 = 100;

/// A customer of a shop, signed in.
pub struct Buyer {
    pub api: Api,
    pub id: String,
}

impl Buyer {
    /// Orders one of each, and gives the id of the order.
    pub async fn orders(&self, products: &[&Created], key: &str) -> String {
        let items: Vec<_> = products.iter().map(|product| json!({"product_id": product.id, "quantity": 1})).collect();
        let order = self.api.post("/v1/orders", &json!({"items": items})).header("idempotency-key", key).await.expect(201).json();
        assert_eq!(order["status"], "pending", "{order}");
        order["id"].as_str().unwrap().to_owned()
    }

    /// Calls an order off.
    pub async fn cancels(&self, order: &str) {
        let order = self.api.post_empty(&format!("/v1/orders/{order}/cancel")).await.expect(200).json();
        assert_eq!(order["status"], "cancelled", "{order}");
    }

    /// The order as it is now.
    pub async fn sees(&self, order: &str) -> Value {
        self.api.get(&format!("/v1/orders/{order}")).await.expect(200).json()
    }

    /// Waits until an order has got somewhere, whatever is away meanwhile, and gives it.
    pub async fn waits_for(&self, order: &str, status: &str) -> Value {
        eventually(&format!("the order is {status}"), async || {
            let order = self.api.get(&format!("/v1/orders/{order}")).await.json();
            if order["status"] == status { Ok(order) } else { Err(order) }
        })
        .await
    }
}

/// The statuses an order has had.
pub fn way(order: &Value) -> Vec<String> {
    order["history"].as_array().unwrap().iter().map(|entry| entry["status"].as_str().unwrap().to_owned()).collect()
}

/// A shop that fulfils orders after this delay.
pub fn shop(roles: &[Role], delay: &str) -> Builder {
    Shop::builder().roles(roles).setting("FULFILMENT_DELAY", delay)
}

/// Opens a shop, with a product in it and a customer.
pub async fn open(shop: Builder) -> (Shop, Created, Buyer) {
    let shop = shop.start().await;
    let stool = stocked(&shop.ada, "S-1", STOCK).await;
    let buyer = Buyer { api: shop.carol.clone(), id: shop.people.carol.id.clone() };
    (shop, stool, buyer)
}

/// Waits until everything in the outbox is published.
pub async fn all_published(shop: &Shop) {
    eventually("all events are published", async || {
        let left: i64 =
            sqlx::query_scalar("SELECT count(*) FROM events.outbox WHERE published_at IS NULL").fetch_one(&shop.database).await.unwrap();
        holds(left == 0, || left)
    })
    .await;
}
