//! Automatic progress of orders: new orders are confirmed, and confirmed orders are fulfilled when they are due.

mod confirm;
mod due;
mod metrics;
mod policy;

pub use confirm::Fulfiller;
pub use due::poll_due_orders;
pub use policy::{FulfilmentPolicy, IfLocked};
