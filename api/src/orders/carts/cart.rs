//! A cart as it is shown.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::products::{Money, Sum};

/// What a customer has put aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Cart {
    /// Identifier (`UUIDv7`).
    pub id: Uuid,
    /// What is in it, what was put in first first.
    pub items: Vec<CartItem>,
    /// The sum of all items.
    #[schema(value_type = Sum)]
    pub total: Money,
    /// When it gives back what it holds, unless it is changed or ordered before.
    pub expires_at: DateTime<Utc>,
}

/// One product of a cart. Sku, name and price are as they were when it was last put in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CartItem {
    /// Product.
    pub product_id: Uuid,
    /// Its sku.
    pub sku: String,
    /// Its name.
    pub name: String,
    /// What one unit costs.
    pub price: Money,
    /// Units.
    #[schema(minimum = 1)]
    pub quantity: i64,
    /// What one unit costs now, if that has changed. The cart cannot be ordered before the product is put in again, which
    /// takes this price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_price: Option<Money>,
    /// `true` if the product has left the catalogue. The cart cannot be ordered before it is taken out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
}
