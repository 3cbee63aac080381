//! Handlers that sign in, refresh tokens and sign out.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use catalog_process::config::Secret;
use garde::Validate;
use serde::Deserialize;
use utoipa::ToSchema;

use super::auth_allowance::AuthAllowance;
use crate::{
    http::{body::Json, clock, problem::Problem},
    identity::{
        Credentials, Identity, TokenPair,
        principal::{bearer_token, token_rejected},
    },
};

/// A refresh token.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshToken {
    /// As it was issued.
    #[garde(skip)]
    #[schema(value_type = String, min_length = 1, max_length = 256, pattern = "text")]
    refresh_token: Secret,
}

/// Sign in
///
/// A wrong username and a wrong password get the same response.
#[utoipa::path(post, path = "/v1/auth/login", tag = "auth",
    request_body = Credentials,
    responses(
        (status = 200, body = TokenPair, headers(
            ("RateLimit" = String, description = "The client's remaining allowance"),
            ("RateLimit-Policy" = String, description = "The client's allowance"))),
        (status = 401, description = "The username or the password is wrong"),
        (status = 429, description = "Too many requests of this client, or too many failures for this account"),
    ))]
pub async fn create_session(
    State(identity): State<Identity>,
    allowance: AuthAllowance,
    body: Result<Json<Credentials>, Problem>,
) -> Response {
    allowance.respond(
        async {
            let Json(request) = body?;
            Ok(uncacheable(identity.sign_in(request, clock::now()).await?))
        }
        .await,
    )
}

/// Get new tokens for a refresh token
///
/// Each refresh token can be used once. Using it again revokes the session, because another client may have it.
#[utoipa::path(post, path = "/v1/auth/refresh", tag = "auth",
    request_body = RefreshToken,
    responses(
        (status = 200, body = TokenPair, headers(
            ("RateLimit" = String, description = "The client's remaining allowance"),
            ("RateLimit-Policy" = String, description = "The client's allowance"))),
        (status = 401, description = "The refresh token is unknown, expired, used or revoked; type says which"),
        (status = 429, description = "Too many requests of this client"),
    ))]
pub async fn refresh_session(
    State(identity): State<Identity>,
    allowance: AuthAllowance,
    body: Result<Json<RefreshToken>, Problem>,
) -> Response {
    allowance.respond(
        async {
            let Json(request) = body?;
            Ok(uncacheable(identity.refresh(&request.refresh_token, clock::now()).await?))
        }
        .await,
    )
}

/// Sign out
///
/// Ends the session of the access token, or of the refresh token in the body; either is enough. Signing out again changes nothing.
#[utoipa::path(post, path = "/v1/auth/logout", tag = "auth",
    request_body = Option<RefreshToken>,
    responses(
        (status = 204, description = "The session has ended"),
        (status = 401, description = "Neither token is valid"),
    ), security((), ("bearer" = [])))]
pub async fn end_session(
    State(identity): State<Identity>,
    headers: HeaderMap,
    body: Option<Json<Option<RefreshToken>>>,
) -> Result<StatusCode, Problem> {
    let now = clock::now();
    let access_token = bearer_token(&headers)?;
    let refresh_token = body.and_then(|Json(request)| request).map(|request| request.refresh_token);
    if access_token.is_none() && refresh_token.is_none() {
        let detail = "Send the access token in the Authorization header, or the refresh token in the body.";
        return Err(Problem::unauthorized("token-missing", detail));
    }
    if let Some(token) = access_token {
        let subject = identity.verify_access_token(token, now).map_err(token_rejected)?;
        identity.end_session(subject.session_id, now).await?;
    }
    if let Some(token) = refresh_token {
        identity.sign_out(&token, now).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Forbids caches to store the tokens (RFC 6749, section 5.1).
fn uncacheable(tokens: TokenPair) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], axum::Json(tokens))
}
