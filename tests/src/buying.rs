//! Buying: products with stock, orders and carts.

use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    api::{Api, Call},
    samples::{self, Created},
};

/// A product of which there are so many.
///
/// # Panics
/// If it cannot be created.
pub async fn stocked(admin: &Api, sku: &str, quantity: i64) -> Created {
    let mut body = samples::plain(sku);
    body["quantity"] = json!(quantity);
    samples::create(admin, &body).await
}

/// An order of products, each with a quantity, under a key of its own.
pub fn order(customer: &Api, items: &[(&Created, i64)]) -> Call {
    let items: Vec<_> = items.iter().map(|(product, quantity)| json!({"product_id": product.id, "quantity": quantity})).collect();
    place(customer, &json!({"items": items}))
}

/// An order of anything, under a key of its own.
pub fn place(customer: &Api, body: &Value) -> Call {
    customer.post("/v1/orders", body).header("idempotency-key", Uuid::now_v7().to_string())
}

/// A new cart: its path.
///
/// # Panics
/// If it cannot be made.
pub async fn cart(customer: &Api) -> String {
    let cart = customer.post("/v1/carts", &json!({})).await.expect(201).json();
    format!("/v1/carts/{}", cart["id"].as_str().expect("a cart has an id"))
}

/// Puts a quantity of a product into a cart.
pub fn put(customer: &Api, cart: &str, product: &Created, quantity: i64) -> Call {
    customer.request(reqwest::Method::PUT, &format!("{cart}/items/{}", product.id)).json(&json!({"quantity": quantity}))
}

/// The id at the end of a path.
///
/// # Panics
/// If there is none.
pub fn id_of(path: &str) -> &str {
    path.rsplit('/').next().expect("a path")
}

/// Units of a product that can be sold now.
///
/// # Panics
/// If the shop doesn't tell.
pub async fn available(anyone: &Api, product: &Created) -> i64 {
    anyone.get(&product.at("stock")).await.expect(200).json()["quantity"].as_i64().expect("tracked stock")
}

/// Where every unit of a product is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whereabouts {
    /// Units that are there.
    pub on_hand: i64,
    /// Those of them that are reserved.
    pub reserved: i64,
    /// Units in carts, as the carts say.
    pub in_carts: i64,
    /// Units sold, in orders that were not called off.
    pub sold: i64,
    /// The sum of the ledger.
    pub ledger: i64,
}

impl Whereabouts {
    /// Of a product, in one look.
    ///
    /// # Panics
    /// If the database doesn't tell.
    pub async fn of(database: &PgPool, product_id: &str) -> Self {
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

    /// Whether no unit is lost or sold twice, of as many as came in all.
    ///
    /// # Panics
    /// If one is.
    #[track_caller]
    pub fn adds_up_to(&self, units: i64) {
        assert_eq!(self.on_hand + self.sold, units, "units are lost or sold twice: {self:?}");
        assert_eq!(self.reserved, self.in_carts, "carts and stock disagree on what is reserved: {self:?}");
        assert_eq!(self.ledger, self.on_hand, "the ledger doesn't explain what is there: {self:?}");
        assert!(self.reserved <= self.on_hand && self.reserved >= 0, "{self:?}");
    }
}
