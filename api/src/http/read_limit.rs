//! The rate limit per client address on anonymous reads of products.

use std::sync::Arc;

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{header, request::Parts},
    response::Response,
};
use catalog_process::server::client_key;

use super::{
    context::RequestContext,
    problem::Problem,
    rate_limit_response::{headers, too_many},
};
use crate::rate_limit::{Allowance, Limit};

/// `HTTP_READS_PER_CLIENT`, if there is such a limit. Cheap to clone.
#[derive(Clone)]
pub struct ReadLimit(Option<Arc<Limit>>);

impl ReadLimit {
    /// `per_client` reads a minute of each client address.
    #[must_use]
    pub fn new(per_client: Option<u32>) -> Self {
        Self(per_client.map(|per_minute| Arc::new(Limit::new("reads", per_minute))))
    }
}

/// Charges an anonymous read to the allowance of its client address, and rejects it with 429 when that is used up. Requests with
/// a token are exempt: an invalid token is rejected before anything is read; abuse by a signed-in account is stopped by
/// deactivating it.
pub struct ReadAllowance(Option<Allowance>);

impl ReadAllowance {
    /// Adds the headers with the remaining allowance to a response.
    pub fn add_headers(&self, mut response: Response) -> Response {
        if let Some(allowance) = &self.0 {
            response.headers_mut().extend(headers(allowance));
        }
        response
    }
}

impl<S: Sync> FromRequestParts<S> for ReadAllowance
where
    ReadLimit: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let ReadLimit(Some(limit)) = ReadLimit::from_ref(state) else { return Ok(Self(None)) };
        if parts.headers.contains_key(header::AUTHORIZATION) {
            return Ok(Self(None));
        }
        let Some(client) = parts.extensions.get::<RequestContext>().map(|context| context.client) else { return Ok(Self(None)) };
        match limit.charge(&client_key(client)) {
            Ok(allowance) => Ok(Self(Some(allowance))),
            Err(allowance) => {
                Err(too_many(&allowance, "Too many reads from this address. Retry after the seconds in Retry-After, or sign in."))
            }
        }
    }
}
