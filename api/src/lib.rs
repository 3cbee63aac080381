//! The shop backend: the API and its workers. The binary `catalog` starts one of the roles.

mod backoff;
mod config;
mod database;
mod events;
mod http;
mod identity;
mod notifications;
mod orders;
mod products;
mod rate_limit;
mod release;
pub mod roles;
mod router;
mod telemetry;
mod tracking;
mod views;
