//! Payloads of order events.

use serde::{Deserialize, Serialize};

use super::{Order, Status};
pub use crate::events::streams::ORDER_CREATED as CREATED;
use crate::events::{Actor, EventData};

/// `data` of `catalog.order.{created,confirmed,fulfilled,cancelled,failed}.v1`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OrderChange {
    /// Order after the change.
    pub order: Order,
    /// Status before the change; null when the order was created.
    pub previous_status: Option<Status>,
    /// Version of the order after the change.
    pub version: i64,
    /// The account that made the change, or the shop.
    pub actor: Actor,
}

impl EventData for OrderChange {}

/// Event kind of a change to `status`.
#[must_use]
pub fn event_kind(status: Status) -> &'static str {
    match status {
        Status::Pending => CREATED,
        Status::Confirmed => "order.confirmed",
        Status::Fulfilled => "order.fulfilled",
        Status::Cancelled => "order.cancelled",
        Status::Failed => "order.failed",
    }
}
