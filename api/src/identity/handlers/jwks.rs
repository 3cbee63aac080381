//! Handler of the public keys, for clients that verify access tokens.

use axum::{extract::State, http::header, response::IntoResponse};

use crate::identity::{Identity, keys::Jwks};

/// `Cache-Control` of the keys: shorter than the five minutes for which a key is published before it signs.
const CACHEABLE: &str = "public, max-age=60";

/// List the public keys
///
/// Access tokens are JWTs, signed with ES256 by one of these keys. A new key is listed five minutes before it signs.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "auth",
    responses((status = 200, body = Jwks, headers(("Cache-Control" = String)))))]
pub async fn list_public_keys(State(identity): State<Identity>) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, CACHEABLE)], axum::Json(identity.public_keys()))
}
