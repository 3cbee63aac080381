//! The rate limit per client address on signing in and registering.

use axum::{
    extract::{FromRef, FromRequestParts},
    http::request::Parts,
    response::{IntoResponse, Response},
};

use crate::{
    http::{
        context::RequestContext,
        problem::Problem,
        rate_limit::{headers, too_many},
    },
    identity::Identity,
    rate_limit::{self, Allowance},
};

/// One request, charged to the allowance of its client; rejected with 429 when that is used up.
pub struct Client(Allowance);

impl Client {
    /// The handler's response with the remaining allowance in its headers.
    pub fn respond(&self, result: Result<impl IntoResponse, Problem>) -> Response {
        let mut response = result.into_response();
        for (name, value) in headers(&self.0) {
            // A rejection because of the account's failures has headers of its own.
            response.headers_mut().entry(name).or_insert(value);
        }
        response
    }
}

impl<S: Sync> FromRequestParts<S> for Client
where
    Identity: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let address = RequestContext::from_request_parts(parts, state).await.map_or_else(|never| match never {}, |context| context.client);
        match Identity::from_ref(state).per_client().charge(&rate_limit::client(address)) {
            Ok(allowance) => Ok(Self(allowance)),
            Err(allowance) => {
                Err(too_many(&allowance, "Too many sign-ins and registrations from this address. Retry after the seconds in Retry-After."))
            }
        }
    }
}
