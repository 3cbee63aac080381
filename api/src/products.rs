//! The catalogue: products, their stock, lists, imports, and the cache of single products.

pub(crate) mod adjust_stock;
mod cache;
pub(crate) mod catalogue;
pub(crate) mod change;
mod error;
mod exists;
pub(crate) mod handlers;
pub mod import;
mod installed;
mod invalidation;
pub(crate) mod list;
mod names;
pub(crate) mod popularity;
pub(crate) mod product;
mod reader;
pub(crate) mod rules;
mod schemas;
pub(crate) mod search;
mod sellable;
pub(crate) mod stock;
pub(crate) mod store;
pub(crate) mod write;

pub use catalogue::Catalogue;
pub use change::{ImportSummary, ProductChange};
pub use error::Error;
pub use exists::exists;
pub use installed::any_exist;
pub use names::read_names;
pub use product::{Money, Product, ProductInput, TotalAmount};
pub use sellable::{SellableProduct, read_sellable};
