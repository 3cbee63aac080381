//! What moves orders on by itself: new ones are confirmed, confirmed ones are fulfilled in time.

mod confirm;
mod decide;
mod due;
mod metrics;

pub use confirm::Fulfiller;
pub use decide::{Busy, Decider};
pub use due::run_due;
