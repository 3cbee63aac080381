//! Carts, which reserve stock, and orders, which take it.

pub mod change;
pub mod order;
pub mod status;

pub use change::OrderChange;
pub use order::{HistoryEntry, Order, OrderLine, Party};
pub use status::Status;
