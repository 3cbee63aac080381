//! Carts, which reserve stock, and orders, which take it.

pub mod change;
mod error;
pub mod fulfil;
pub mod order;
pub mod status;
pub mod transition;

pub use change::OrderChange;
pub use error::Error;
pub use order::{HistoryEntry, Order, OrderLine, Party};
pub use status::Status;
pub use transition::{Advanced, Mover};
