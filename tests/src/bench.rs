//! Measuring beside what this machine can do at best, in one interleaved run.
//!
//! Cached reads are held against a bare axum server that returns the same bytes; uncached ones, and
//! orders, against `pgbench` with our own prepared statements. Everybody runs in a process of its own and
//! shares the same cores, so the ratios mean something where the numbers don't.

pub mod bare;
pub mod lists;
pub mod load;
pub mod operator;
pub mod orders;
pub mod pgbench;
pub mod run;
pub mod shelf;
pub mod starvation;
pub mod table;
