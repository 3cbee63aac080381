//! What every long-running process of Catalog needs, whatever it does: checked settings, logs, listeners, probes and metrics,
//! supervised tasks, and an orderly shutdown. The service, its tools and the operator share it; it knows no domain.

pub mod config;
pub mod listener;
pub mod metrics;
pub mod ops;
pub mod output;
pub mod program;
pub mod server;
pub mod signal;
pub mod supervisor;
