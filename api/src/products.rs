//! The catalogue: products, their stock, lists, import, and the cache of single reads.

pub mod change;
pub mod product;
pub mod rules;

pub use change::{ImportSummary, ProductChange};
pub use product::{Money, Product, ProductInput};
