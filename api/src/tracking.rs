//! Views of products: collected in the API, published, counted exactly once, reported.

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

pub use popularity::project;
pub use reports::Reports;
pub use tracker::{Tracker, keep_partitions};
pub use views::Views;
