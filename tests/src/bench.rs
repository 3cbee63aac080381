//! Benchmarks that compare Catalog with an upper limit on the same machine, in interleaved rounds.
//!
//! The limit of cached reads is a bare axum server that returns the same bytes. The limit of uncached reads and of orders is
//! `pgbench` with the same prepared statements. All programs run as separate processes on the same cores, so the ratios are
//! comparable between machines and the absolute numbers are not.

pub mod bare;
pub mod lists;
pub mod load;
pub mod numbered_products;
pub mod operator;
pub mod orders;
pub mod pgbench;
pub mod run;
pub mod starvation;
pub mod table;
