//! The rate limit per client address on signing in, refreshing and registering.

use axum::{
    extract::{FromRef, FromRequestParts},
    http::request::Parts,
    response::{IntoResponse, Response},
};
use catalog_process::server::client_key;

use crate::{
    http::{
        context::RequestContext,
        problem::Problem,
        rate_limit_response::{headers, too_many},
    },
    identity::Identity,
    rate_limit::Allowance,
};

/// Charges the request to the allowance of its client address, and rejects it with 429 when that is used up.
pub struct AuthAllowance(Allowance);

impl AuthAllowance {
    /// Converts the handler's result into a response with the remaining allowance in its headers.
    pub fn respond(&self, result: Result<impl IntoResponse, Problem>) -> Response {
        let mut response = result.into_response();
        for (name, value) in headers(&self.0) {
            // The rejection of an account with too many failed sign-ins already has these headers.
            response.headers_mut().entry(name).or_insert(value);
        }
        response
    }
}

impl<S: Sync> FromRequestParts<S> for AuthAllowance
where
    Identity: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let address = RequestContext::from_request_parts(parts, state).await.map_or_else(|never| match never {}, |context| context.client);
        match Identity::from_ref(state).per_client().charge(&client_key(address)) {
            Ok(allowance) => Ok(Self(allowance)),
            Err(allowance) => {
                let detail = "Too many sign-ins, refreshes and registrations from this address. Retry after the seconds in Retry-After.";
                Err(too_many(&allowance, detail))
            }
        }
    }
}
