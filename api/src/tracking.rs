//! Views of products: collected in the API, published in batches, counted exactly once by the tracker, and reported.

mod batch;
mod count;
mod csv;
pub mod handlers;
mod message;
mod partitions;
mod popularity;
mod publish;
pub mod reports;
mod totals;
mod tracker;
mod views;

pub use popularity::copy_view_totals;
pub use reports::Reports;
pub use tracker::{Tracker, maintain_partitions};
pub use views::Views;
