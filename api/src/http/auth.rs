//! Who is asking: extractors that turn the bearer token into a caller.

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderMap, header, request::Parts},
};
use uuid::Uuid;

use super::{clock, problem::Problem};
use crate::{
    events::{Actor, Origin},
    http::context::RequestContext,
    identity::{
        Identity,
        tokens::{Role, Subject, TokenError},
    },
    telemetry,
};

/// The account and the session that a request was authenticated with. In the request's extensions, too, for what
/// takes so long that they may have ended meanwhile.
#[derive(Clone)]
pub struct Authentication {
    identity: Identity,
    subject: Subject,
}

impl Authentication {
    /// Whether the account is still active and the session goes on. That the access token has expired meanwhile doesn't
    /// matter: it was valid when the request began, and a request may take longer than a token lives.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn is_valid(&self) -> Result<bool, sqlx::Error> {
        Ok(self.identity.active_username(self.subject).await?.is_some())
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

/// Somebody who is signed in: a customer for what is their own, an admin for everything.
#[derive(Clone)]
pub enum Caller {
    /// A customer.
    Customer(Customer),
    /// An admin.
    Admin(Admin),
}

/// Anyone at all. A bad token is 401, not anonymous.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visitor {
    /// No token: their reads are views.
    Anonymous,
    /// A customer or an admin.
    SignedIn,
}

impl Admin {
    /// The origin of commands this admin gives in this request.
    pub fn origin(&self, context: &RequestContext) -> Origin {
        origin(self.id, &self.username, context)
    }
}

impl Customer {
    /// The origin of commands this customer gives in this request.
    pub fn origin(&self, context: &RequestContext) -> Origin {
        origin(self.id, &self.username, context)
    }
}

impl Caller {
    /// The account that what the caller may see must belong to; `None` for an admin, who may see everything.
    pub fn own_id(&self) -> Option<Uuid> {
        match self {
            Self::Customer(customer) => Some(customer.id),
            Self::Admin(_) => None,
        }
    }

    /// The origin of commands the caller gives in this request.
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

impl<S: Sync> FromRequestParts<S> for Caller
where
    Identity: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let identity = Identity::from_ref(state);
        let subject = subject(&identity, &parts.headers)?.ok_or_else(|| {
            Problem::unauthorized("token-missing", "Send an access token in the Authorization header. POST /v1/auth/login issues one.")
        })?;
        let username = identity.active_username(subject).await?;
        let username = username.ok_or_else(|| session_ended("Sign in again."))?;
        let id = subject.account_id;
        let authentication = Authentication { identity, subject };
        parts.extensions.insert(authentication.clone());
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
        match Caller::from_request_parts(parts, state).await? {
            Caller::Admin(admin) => Ok(admin),
            Caller::Customer(_) => Err(Problem::forbidden("Only admins may do this.")),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Customer
where
    Identity: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Caller::from_request_parts(parts, state).await? {
            Caller::Customer(customer) => Ok(customer),
            Caller::Admin(_) => Err(Problem::forbidden("Only customers may do this: sign in as one.")),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Visitor
where
    Identity: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        // Most visitors: don't even clone the handle.
        if !parts.headers.contains_key(header::AUTHORIZATION) {
            return Ok(Self::Anonymous);
        }
        let subject = subject(&Identity::from_ref(state), &parts.headers)?;
        Ok(if subject.is_some() { Self::SignedIn } else { Self::Anonymous })
    }
}

fn subject(identity: &Identity, headers: &HeaderMap) -> Result<Option<Subject>, Problem> {
    let subject = bearer_token(headers)?.map(|token| identity.subject_of(token, clock::now()).map_err(token_rejected)).transpose()?;
    if let Some(subject) = subject {
        telemetry::record_account(subject.account_id);
    }
    Ok(subject)
}

/// The bearer token of the request (RFC 6750, section 2.1), if there is an `Authorization` header.
///
/// # Errors
/// 401 for a header of another kind, or several of them.
pub fn bearer_token(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).unwrap_or_default();
    if values.next().is_some() || !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(token_invalid("The Authorization header must be: Bearer <access token>."));
    }
    Ok(Some(token.trim()))
}

/// 401 for an access token that is rejected.
pub fn token_rejected(error: TokenError) -> Problem {
    match error {
        TokenError::Expired => {
            let detail = "The access token has expired. Get a new one with the refresh token: POST /v1/auth/refresh.";
            Problem::unauthorized("token-expired", detail).of_access_token()
        }
        TokenError::Invalid => token_invalid("The access token is invalid. Sign in again: POST /v1/auth/login."),
    }
}

/// 401 for an access token whose session has ended, or whose account was deactivated or deleted. `advice` says what to do.
pub fn session_ended(advice: &str) -> Problem {
    let detail = format!("The session has ended, or the account was deactivated or deleted. {advice}");
    Problem::unauthorized("token-revoked", detail).of_access_token()
}

fn token_invalid(detail: &str) -> Problem {
    Problem::unauthorized("token-invalid", detail).of_access_token()
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
    fn only_one_bearer_header_is_understood() {
        assert_eq!(token(&[]), Ok(None));
        assert_eq!(token(&["Bearer abc"]), Ok(Some("abc".into())));
        assert_eq!(token(&["bearer abc"]), Ok(Some("abc".into())));
        for bad in [&["Basic abc"][..], &[""], &["abc"], &["Bearer"], &["Bearer a", "Bearer b"]] {
            assert_eq!(token(bad), Err(()), "{bad:?}");
        }
    }
}
