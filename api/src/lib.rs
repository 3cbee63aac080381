//! The shop backend: the API and its workers. The binary `catalog` starts one of the roles.

mod backoff;
pub mod characters;
pub mod config;
mod database;
mod events;
pub mod full_date;
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
mod text;
mod tracking;
mod views;
