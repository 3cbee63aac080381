//! The catalogue: products, their stock, lists, import, and the cache of single reads.

pub mod cache;
pub mod catalogue;
pub mod change;
mod error;
pub mod handlers;
mod invalidation;
pub mod list;
pub mod product;
mod reader;
pub mod rules;
pub mod stock;
pub mod store;
pub mod write;

pub use catalogue::Catalogue;
pub use change::{ImportSummary, ProductChange};
pub use error::Error;
pub use product::{Money, Product, ProductInput};
