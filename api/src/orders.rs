//! Carts, which reserve stock, and orders, which sell it.
//!
//! Stock is stored by `products::stock`. Every transaction locks the cart or the order first and the stock of its products
//! last, so that two transactions cannot deadlock.

pub mod carts;
pub mod change;
pub mod csv;
mod error;
pub mod fulfil;
pub mod handlers;
mod lines;
mod metrics;
pub mod order;
mod place;
mod read;
mod request;
mod rules;
mod service;
pub mod status;
mod transition;

pub use change::OrderChange;
pub use error::{CartDifference, Error, LineLocation, Shortage};
pub use order::{HistoryEntry, Order, OrderActor, OrderLine};
pub use read::{Filter, find_order, list_orders, read_chunk};
pub use request::{CartItemInput, OrderInput};
pub use service::Orders;
pub use status::Status;
pub use transition::{Transition, TransitionOutcome, change_status};
