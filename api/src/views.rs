//! Views of products: counted in the memory of the API, and published in batches. [`crate::tracking`] stores and reports them.

mod batch;
mod counters;
pub mod message;
mod publish;

pub use counters::Views;
