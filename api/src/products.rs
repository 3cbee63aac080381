//! The catalogue: products, their stock, lists, import, and the cache of single reads.

pub mod cache;
pub mod catalogue;
pub mod change;
mod error;
mod exists;
pub mod handlers;
pub mod import;
mod installed;
mod invalidation;
pub mod list;
mod names;
mod offers;
pub mod popularity;
pub mod product;
mod reader;
pub mod rules;
mod schemas;
pub mod search;
pub mod stock;
pub mod store;
pub mod write;

pub use catalogue::Catalogue;
pub use change::{ImportSummary, ProductChange};
pub use error::Error;
pub use exists::exists;
pub use installed::any_exist;
pub use names::names;
pub use offers::{Offer, offers};
pub use product::{Money, Product, ProductInput, Sum};
