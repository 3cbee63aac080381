//! The shop backend: the API and its workers. The binary `catalog` starts one of the roles.

mod backoff;
pub mod config;
mod database;
mod events;
pub mod http;
pub mod identity;
pub mod listener;
mod metrics;
mod notifications;
mod orders;
pub mod products;
pub mod program;
mod rate_limit;
mod release;
pub mod roles;
mod router;
mod telemetry;
mod tracking;
mod views;
