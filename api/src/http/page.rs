//! Keyset pages: limits, opaque cursors and the `Link` header.

use axum::{
    http::{HeaderValue, Uri, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};
use utoipa::ToSchema;

use super::{
    body,
    problem::{FieldError, Problem},
};

/// Items per page without `limit`.
pub const DEFAULT_LIMIT: u16 = 50;
/// Items per page at most.
pub const MAX_LIMIT: u16 = 200;

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Pass it as `cursor` to get the next page; null on the last one.
    pub next_cursor: Option<String>,
}

impl<T: Serialize> Page<T> {
    /// The page as a response to `uri`, with `Link: rel="next"` when there is more.
    pub fn respond(self, uri: &Uri) -> Response {
        let link = self.next_cursor.as_ref().and_then(|cursor| next_link(uri, cursor));
        let mut response = axum::Json(self).into_response();
        if let Some(link) = link {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }
}

fn next_link(uri: &Uri, cursor: &str) -> Option<HeaderValue> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let kept = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).filter(|(name, _)| name != "cursor");
    let query = query.extend_pairs(kept).append_pair("cursor", cursor).finish();
    HeaderValue::try_from(format!("<{}?{query}>; rel=\"next\"", uri.path())).ok()
}

/// Checks `limit`.
///
/// # Errors
/// 400 outside 1–200.
pub fn limit(given: Option<u16>) -> Result<u16, Problem> {
    let limit = given.unwrap_or(DEFAULT_LIMIT);
    if (1..=MAX_LIMIT).contains(&limit) {
        Ok(limit)
    } else {
        Err(Problem::bad_parameters(vec![FieldError::parameter("limit", format!("limit is a whole number from 1 to {MAX_LIMIT}"))]))
    }
}

/// Writes a position as an opaque cursor.
pub fn encode_cursor<T: Serialize>(position: &T) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(position).unwrap_or_default())
}

/// Reads a cursor back.
///
/// # Errors
/// 400 for anything this API did not hand out for this kind of list.
pub fn decode_cursor<T: DeserializeOwned>(cursor: &str) -> Result<T, Problem> {
    // Strict as with bodies: a forged one may hold what the database cannot.
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).map_err(|_| bad_cursor())?;
    body::parse(&bytes).map_err(|_| bad_cursor())
}

/// 400 for a cursor that doesn't belong here.
pub fn bad_cursor() -> Problem {
    let detail = "cursor is not one this list handed out; start again without it, and keep sort and filters while you walk";
    Problem::bad_parameters(vec![FieldError::parameter("cursor", detail)])
}
