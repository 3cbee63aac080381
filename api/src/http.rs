//! The HTTP machinery: router, errors, request context, bodies, pages, entity tags, idempotency.

pub mod auth;
pub mod body;
pub mod client;
pub mod clock;
pub mod context;
pub mod download;
pub mod etag;
pub mod format;
pub mod idempotency;
pub mod ids;
pub mod observe;
pub mod openapi;
pub mod ops;
pub mod page;
pub mod path;
pub mod problem;
pub mod query;
pub mod rate_limit;
pub mod read_limit;
pub mod response_budget;
pub mod router;
pub mod server;
pub mod validate;
