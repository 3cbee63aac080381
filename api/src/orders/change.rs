//! What happened to orders, as events tell it.

use serde::{Deserialize, Serialize};

use super::{Order, Status};
use crate::events::Actor;

/// `data` of `catalog.order.{created,confirmed,fulfilled,cancelled,failed}.v1`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OrderChange {
    /// The order after the change.
    pub order: Order,
    /// Its status before; null when it was created.
    pub previous_status: Option<Status>,
    /// The row's version after the change.
    pub version: i64,
    /// Who did it.
    pub actor: Actor,
}

/// The kind of event that tells of a new order.
pub const CREATED: &str = "order.created";

/// The kind of event that tells that an order has reached a status.
#[must_use]
pub fn kind(status: Status) -> &'static str {
    match status {
        Status::Pending => CREATED,
        Status::Confirmed => "order.confirmed",
        Status::Fulfilled => "order.fulfilled",
        Status::Cancelled => "order.cancelled",
        Status::Failed => "order.failed",
    }
}
