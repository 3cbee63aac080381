//! The response to a connection over a limit.

use std::net::SocketAddr;

use axum::{
    body::Body,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use catalog_process::server::{ConnectionLimit, RETRY_AFTER};

use super::{
    context::{REQUEST_ID, RequestContext, TRACEPARENT},
    problem::Problem,
};

/// Responds with a problem to the first request of a connection over a limit.
pub fn respond(limit: ConnectionLimit, headers: &HeaderMap, peer: SocketAddr) -> Response {
    let context = RequestContext::of(headers, peer.ip().to_canonical());
    let problem = match limit {
        ConnectionLimit::Total => {
            Problem::unavailable(format!("The server has reached its limit of connections. Retry after {RETRY_AFTER} s."))
        }
        ConnectionLimit::Client => Problem::too_many(
            format!("Your address has too many open connections. Close some or reuse them, then retry after {RETRY_AFTER} s."),
            RETRY_AFTER,
        ),
    };
    let body = problem.to_json(context.request_id());
    let mut response = problem.into_response();
    *response.body_mut() = Body::from(body);
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, context.request_id);
    headers.insert(TRACEPARENT, context.traceparent);
    response
}
