//! The catalogue: products, their stock, lists, import, and the cache of single reads.

pub mod change;
mod exists;
mod names;
pub mod popularity;
pub mod product;
pub mod rules;

pub use change::{ImportSummary, ProductChange};
pub use exists::exists;
pub use names::{Name, names};
pub use product::{Money, Product, ProductInput};
