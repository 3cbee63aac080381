//! The catalogue: products, their stock, lists, import, and the cache of single reads.

pub mod change;
mod installed;
pub mod product;
pub mod rules;

pub use change::{ImportSummary, ProductChange};
pub use installed::any_exist;
pub use product::{Money, Product, ProductInput};
