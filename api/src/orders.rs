//! Carts, which reserve stock, and orders, which take it.
//!
//! Stock itself belongs to the products: this domain asks for it. Locks are taken in one order
//! everywhere: the cart or the order first, then the stock of its products.

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
mod shop;
pub mod status;
mod transition;

pub use change::OrderChange;
pub use error::{CartDifference, Error, Place, ShortLine};
pub use order::{HistoryEntry, Order, OrderLine, Party};
pub use read::{Filter, chunk, find, page};
pub use request::{NewLine, NewOrder, Units, Wish};
pub use shop::Orders;
pub use status::Status;
pub use transition::{Advanced, Mover, Step};
