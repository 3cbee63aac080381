//! An order as the API and its events represent it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Status;
use crate::products::{Money, TotalAmount};

/// An order. Names and prices are those of the time it was placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Order {
    /// Identifier (`UUIDv7`).
    pub id: Uuid,
    /// Customer who placed it.
    pub customer_id: Uuid,
    /// Current status.
    pub status: Status,
    /// Ordered products.
    pub items: Vec<OrderLine>,
    /// Sum of all lines.
    #[schema(value_type = TotalAmount)]
    pub total: Money,
    /// Time it was placed.
    pub created_at: DateTime<Utc>,
    /// Time of the last change of status.
    pub updated_at: DateTime<Utc>,
    /// All statuses so far, oldest first.
    pub history: Vec<HistoryEntry>,
}

/// One product of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderLine {
    /// Product id. The product may have been deleted since.
    pub product_id: Uuid,
    /// Sku when the order was placed.
    pub sku: String,
    /// Name when the order was placed.
    pub name: String,
    /// Price of one unit.
    pub price: Money,
    /// Units.
    #[schema(minimum = 1)]
    pub quantity: i64,
    /// Price of all units.
    #[schema(value_type = TotalAmount)]
    pub line_total: Money,
}

/// A status that the order had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = OrderStatusChange)]
pub struct HistoryEntry {
    /// Status.
    pub status: Status,
    /// Time from which the order had it.
    pub at: DateTime<Utc>,
    /// Who changed the status.
    pub by: OrderActor,
    /// Reason, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Who changed an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum OrderActor {
    /// The customer who placed it.
    Customer,
    /// An admin.
    Admin,
    /// The shop itself.
    Shop,
}
