//! HTTP: errors, request context, bodies, pages, entity tags, idempotency.

pub mod body;
pub(crate) mod client;
pub(crate) mod clock;
pub(crate) mod context;
pub(crate) mod download;
pub(crate) mod etag;
pub(crate) mod format;
pub(crate) mod idempotency;
pub(crate) mod ids;
pub(crate) mod observe;
pub(crate) mod openapi;
pub(crate) mod page;
pub(crate) mod path;
pub(crate) mod problem;
pub(crate) mod public_url;
pub(crate) mod query;
pub(crate) mod rate_limit_response;
pub(crate) mod read_limit;
pub(crate) mod rejection;
pub(crate) mod response_budget;
pub(crate) mod session;
pub(crate) mod validate;
