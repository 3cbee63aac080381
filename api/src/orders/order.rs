//! An order as it is shown and told.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Status;
use crate::products::{Money, Sum};

/// What a customer bought. Names and prices are those of the moment it was placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Order {
    /// Identifier (`UUIDv7`).
    pub id: Uuid,
    /// Whose order it is.
    pub customer_id: Uuid,
    /// Where it is on its way.
    pub status: Status,
    /// What was bought.
    pub items: Vec<OrderLine>,
    /// The sum of all lines.
    #[schema(value_type = Sum)]
    pub total: Money,
    /// When it was placed.
    pub created_at: DateTime<Utc>,
    /// When its status last changed.
    pub updated_at: DateTime<Utc>,
    /// Every status it has had, the first first.
    pub history: Vec<HistoryEntry>,
}

/// One product of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderLine {
    /// The product, which may be gone by now.
    pub product_id: Uuid,
    /// Its sku then.
    pub sku: String,
    /// Its name then.
    pub name: String,
    /// What one unit cost.
    pub price: Money,
    /// Units.
    #[schema(minimum = 1)]
    pub quantity: i64,
    /// What all of them cost.
    #[schema(value_type = Sum)]
    pub line_total: Money,
}

/// One status an order has had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HistoryEntry {
    /// The status.
    pub status: Status,
    /// Since when.
    pub at: DateTime<Utc>,
    /// Who moved it there.
    pub by: Party,
    /// Why, if somebody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Who moves orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Party {
    /// Whose order it is.
    Customer,
    /// An admin.
    Admin,
    /// The shop by itself.
    Shop,
}
