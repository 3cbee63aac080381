//! Extractors that turn the bearer token of a request into its principal.

use std::sync::Arc;

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderMap, header, request::Parts},
};
use futures::future::BoxFuture;
use uuid::Uuid;

use super::{
    Identity,
    claims::{Role, Subject},
    tokens::TokenError,
};
use crate::{
    events::{Actor, Origin},
    http::{
        clock,
        context::RequestContext,
        problem::Problem,
        session::{RequestSession, Session, session_ended},
    },
    telemetry,
};

/// The account and the session that a request was authenticated with.
#[derive(Clone)]
pub struct Authentication {
    identity: Identity,
    subject: Subject,
}

impl Session for Authentication {
    fn is_active(&self) -> BoxFuture<'_, Result<bool, sqlx::Error>> {
        Box::pin(async { Ok(self.identity.active_username(self.subject).await?.is_some()) })
    }
}

/// An active admin.
#[derive(Clone)]
pub struct Admin {
    /// Account id.
    pub id: Uuid,
    /// Username.
    pub username: String,
    /// How the request was authenticated.
    pub authentication: Authentication,
}

/// An active customer.
#[derive(Debug, Clone)]
pub struct Customer {
    /// Account id.
    pub id: Uuid,
    /// Username.
    pub username: String,
}

/// An authenticated user: customers have access to their own resources, admins to all.
#[derive(Clone)]
pub enum Principal {
    /// A customer.
    Customer(Customer),
    /// An admin.
    Admin(Admin),
}

/// For operations that don't require authentication. An invalid token is still rejected with 401.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionalPrincipal {
    /// The request has no token. Reads of products count as views.
    Anonymous,
    /// A customer or an admin.
    SignedIn,
}

impl Admin {
    /// Returns the origin of the admin's commands in this request.
    pub fn origin(&self, context: &RequestContext) -> Origin {
        origin(self.id, &self.username, context)
    }
}

impl Customer {
    /// Returns the origin of the customer's commands in this request.
    pub fn origin(&self, context: &RequestContext) -> Origin {
        origin(self.id, &self.username, context)
    }
}

impl Principal {
    /// Returns the account that resources must belong to, or `None` for admins, who can access the resources of all accounts.
    pub fn own_id(&self) -> Option<Uuid> {
        match self {
            Self::Customer(customer) => Some(customer.id),
            Self::Admin(_) => None,
        }
    }

    /// Returns the origin of the principal's commands in this request.
    pub fn origin(&self, context: &RequestContext) -> Origin {
        match self {
            Self::Customer(customer) => customer.origin(context),
            Self::Admin(admin) => admin.origin(context),
        }
    }
}

fn origin(id: Uuid, username: &str, context: &RequestContext) -> Origin {
    Origin {
        actor: Actor { id, username: username.to_owned() },
        request_id: context.request_id().to_owned(),
        traceparent: context.traceparent().to_owned(),
    }
}

impl<S: Sync> FromRequestParts<S> for Principal
where
    Identity: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let identity = Identity::from_ref(state);
        let subject = authenticate(&identity, &parts.headers)?.ok_or_else(|| {
            Problem::unauthorized("token-missing", "Send an access token in the Authorization header. POST /v1/auth/login issues one.")
        })?;
        let username = identity.active_username(subject).await?;
        let username = username.ok_or_else(|| session_ended("Sign in again."))?;
        let id = subject.account_id;
        let authentication = Authentication { identity, subject };
        parts.extensions.insert::<RequestSession>(Arc::new(authentication.clone()));
        Ok(match subject.role {
            Role::Admin => Self::Admin(Admin { id, username, authentication }),
            Role::Customer => Self::Customer(Customer { id, username }),
        })
    }
}

impl<S: Sync> FromRequestParts<S> for Admin
where
    Identity: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Principal::from_request_parts(parts, state).await? {
            Principal::Admin(admin) => Ok(admin),
            Principal::Customer(_) => Err(Problem::forbidden("This operation is for admins. Sign in as an admin.")),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Customer
where
    Identity: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Principal::from_request_parts(parts, state).await? {
            Principal::Customer(customer) => Ok(customer),
            Principal::Admin(_) => Err(Problem::forbidden("This operation is for customers. Sign in as a customer.")),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for OptionalPrincipal
where
    Identity: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        // Fast path for most requests: avoids cloning `Identity`.
        if !parts.headers.contains_key(header::AUTHORIZATION) {
            return Ok(Self::Anonymous);
        }
        let subject = authenticate(&Identity::from_ref(state), &parts.headers)?;
        Ok(if subject.is_some() { Self::SignedIn } else { Self::Anonymous })
    }
}

/// Verifies the access token of a request, if there is one.
fn authenticate(identity: &Identity, headers: &HeaderMap) -> Result<Option<Subject>, Problem> {
    let subject =
        bearer_token(headers)?.map(|token| identity.verify_access_token(token, clock::now()).map_err(token_rejected)).transpose()?;
    if let Some(subject) = subject {
        telemetry::record_account(subject.account_id);
    }
    Ok(subject)
}

/// Reads the bearer token of a request (RFC 6750, section 2.1), or `None` without an `Authorization` header.
///
/// # Errors
/// 401 for another scheme than `Bearer`, or for several `Authorization` headers.
pub fn bearer_token(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).unwrap_or_default();
    if values.next().is_some() || !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(token_invalid("The Authorization header must be: Bearer <access token>."));
    }
    Ok(Some(token.trim()))
}

/// Returns the problem 401 for a rejected access token.
pub fn token_rejected(error: TokenError) -> Problem {
    match error {
        TokenError::Expired => {
            let detail = "The access token has expired. Get a new one with the refresh token: POST /v1/auth/refresh.";
            Problem::unauthorized("token-expired", detail).with_invalid_token_challenge()
        }
        TokenError::Invalid => token_invalid("The access token is invalid. Sign in again: POST /v1/auth/login."),
    }
}

fn token_invalid(detail: &str) -> Problem {
    Problem::unauthorized("token-invalid", detail).with_invalid_token_challenge()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn token(values: &[&'static str]) -> Result<Option<String>, ()> {
        let headers = values.iter().map(|value| (header::AUTHORIZATION, HeaderValue::from_static(value))).collect();
        bearer_token(&headers).map(|token| token.map(str::to_owned)).map_err(|_| ())
    }

    #[test]
    fn a_request_has_at_most_one_authorization_header_with_the_scheme_bearer() {
        assert_eq!(token(&[]), Ok(None));
        assert_eq!(token(&["Bearer abc"]), Ok(Some("abc".into())));
        assert_eq!(token(&["bearer abc"]), Ok(Some("abc".into())));
        for bad in [&["Basic abc"][..], &[""], &["abc"], &["Bearer"], &["Bearer a", "Bearer b"]] {
            assert_eq!(token(bad), Err(()), "{bad:?}");
        }
    }
}
