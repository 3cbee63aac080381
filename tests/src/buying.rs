//! Helpers for products with stock, carts and orders.

use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    api::{Api, Call},
    samples::{self, Created},
};

/// Creates a product with a quantity in stock.
///
/// # Panics
/// If the product cannot be created.
pub async fn stocked(admin: &Api, sku: &str, quantity: i64) -> Created {
    let mut body = samples::plain(sku);
    body["quantity"] = json!(quantity);
    samples::create(admin, &body).await
}

/// Orders products, each with a quantity, with a new idempotency key.
pub fn order(customer: &Api, items: &[(&Created, i64)]) -> Call {
    let items: Vec<_> = items.iter().map(|(product, quantity)| json!({"product_id": product.id, "quantity": quantity})).collect();
    place(customer, &json!({"items": items}))
}

/// Places an order with any body, with a new idempotency key.
pub fn place(customer: &Api, body: &Value) -> Call {
    customer.post("/v1/orders", body).header("idempotency-key", Uuid::now_v7().to_string())
}

/// Creates a cart and returns its path.
///
/// # Panics
/// If the request fails.
pub async fn cart(customer: &Api) -> String {
    let cart = customer.post("/v1/carts", &json!({})).await.expect(201).json();
    format!("/v1/carts/{}", cart["id"].as_str().expect("a cart has an id"))
}

/// Sets the quantity of a product in a cart.
pub fn put(customer: &Api, cart: &str, product: &Created, quantity: i64) -> Call {
    customer.request(reqwest::Method::PUT, &format!("{cart}/items/{}", product.id)).json(&json!({"quantity": quantity}))
}

/// Returns the last segment of a path.
///
/// # Panics
/// If the path is empty.
pub fn last_segment(path: &str) -> &str {
    path.rsplit('/').next().expect("a path")
}

/// Reads the units of a product that can be sold now.
///
/// # Panics
/// If the request fails or stock isn't tracked.
pub async fn available(anyone: &Api, product: &Created) -> i64 {
    anyone.get(&product.at("stock")).await.expect(200).json()["quantity"].as_i64().expect("tracked stock")
}

/// The units of a product in all tables that record them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StockAudit {
    /// Units on hand.
    pub on_hand: i64,
    /// Reserved units, from the stock table.
    pub reserved: i64,
    /// Reserved units, from the carts.
    pub in_carts: i64,
    /// Units in orders that were not cancelled and did not fail.
    pub sold: i64,
    /// Sum of the stock movements.
    pub ledger: i64,
}

impl StockAudit {
    /// Reads the audit of a product in one query.
    ///
    /// # Panics
    /// If the query fails.
    pub async fn read(database: &PgPool, product_id: &str) -> Self {
        let (on_hand, reserved, in_carts, sold, ledger): (i64, i64, i64, i64, i64) = sqlx::query_as(
            "SELECT on_hand, reserved,
                    (SELECT coalesce(sum(reserved), 0)::bigint FROM orders.cart_items i WHERE i.product_id = s.product_id),
                    (SELECT coalesce(sum(taken), 0)::bigint FROM orders.lines l JOIN orders.orders o ON o.id = l.order_id
                     WHERE l.product_id = s.product_id AND o.status NOT IN ('cancelled', 'failed')),
                    (SELECT coalesce(sum(delta), 0)::bigint FROM products.stock_movements m WHERE m.product_id = s.product_id)
             FROM products.stock s WHERE product_id = $1::uuid",
        )
        .bind(product_id)
        .fetch_one(database)
        .await
        .expect("tracked stock");
        Self { on_hand, reserved, in_carts, sold, ledger }
    }

    /// Asserts that none of `units` in total is lost or sold twice.
    ///
    /// # Panics
    /// If a unit is lost or sold twice.
    #[track_caller]
    pub fn assert_total(&self, units: i64) {
        assert_eq!(self.on_hand + self.sold, units, "units are lost or sold twice: {self:?}");
        assert_eq!(self.reserved, self.in_carts, "carts and stock disagree on what is reserved: {self:?}");
        assert_eq!(self.ledger, self.on_hand, "the ledger does not sum up to on_hand: {self:?}");
        assert!(self.reserved <= self.on_hand && self.reserved >= 0, "{self:?}");
    }
}
