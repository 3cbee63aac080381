//! A cart as the API represents it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::products::{Money, TotalAmount};

/// A cart. Its items are reserved for the customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Cart {
    /// Identifier (`UUIDv7`).
    pub id: Uuid,
    /// Items, in the order in which they were added.
    pub items: Vec<CartItem>,
    /// Sum of all items.
    #[schema(value_type = TotalAmount)]
    pub total: Money,
    /// Time at which the cart expires and releases its reservations. Every change of the cart extends it.
    pub expires_at: DateTime<Utc>,
}

/// One product of a cart. Sku, name and price are those of the time it was last put into the cart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CartItem {
    /// Product id.
    pub product_id: Uuid,
    /// Sku.
    pub sku: String,
    /// Name.
    pub name: String,
    /// Price of one unit.
    pub price: Money,
    /// Units.
    #[schema(minimum = 1)]
    pub quantity: i64,
    /// Current price of one unit, if it differs from `price`. The cart cannot be ordered until the product is put into it
    /// again, at this price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_price: Option<Money>,
    /// `true` if the product was deleted. The cart cannot be ordered until the item is removed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub product_deleted: bool,
}
