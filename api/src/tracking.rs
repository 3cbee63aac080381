//! Published views: counted exactly once by the tracker, and reported.

mod count;
mod csv;
pub mod handlers;
mod partitions;
mod popularity;
pub mod reports;
mod totals;
mod tracker;

pub use popularity::copy_view_totals;
pub use reports::Reports;
pub use tracker::{Tracker, maintain_partitions};
