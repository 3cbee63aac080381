//! JSON bodies: their limits, strict parsing, and errors with locations.

mod object;
mod parse;
mod receive;
pub(crate) mod serde_message;
pub mod structure;
mod upload;

pub use object::{Object, objects};
pub use parse::{DUPLICATE, all_errors, describe_error, parse, parse_internal};
pub use upload::upload;

use axum::{
    body::Bytes,
    extract::{FromRequest, OptionalFromRequest, Request},
    http::{HeaderMap, HeaderValue, StatusCode, header},
};
use catalog_values::whole;
use garde::Validate;
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::ToSchema;

use self::{parse::parse_object, receive::receive};
use super::problem::{FieldError, Problem};

/// Largest JSON body, in bytes. Imports are streamed.
pub const MAX_BODY: usize = 64 * 1024;
/// Largest body of one product, in bytes: it has a description and attributes.
pub const MAX_PRODUCT_BODY: usize = 1024 * 1024;

/// A JSON body of type `T`, which should deny unknown fields. Domains check further rules.
pub struct Json<T>(pub T);

/// A JSON merge patch (RFC 7396) of at most `MAX` bytes: `application/merge-patch+json`, or plain `application/json`.
pub struct MergePatch<const MAX: usize = MAX_BODY>(pub Value);

impl MergePatch {
    /// Deserializes a patch that isn't applied to a document. `T` should deny unknown fields.
    ///
    /// # Errors
    /// 422 with every error.
    pub fn read<T: DeserializeOwned + ToSchema + Validate<Context = ()>>(self) -> Result<T, Problem> {
        serde_path_to_error::deserialize(&self.0).map_err(|error| {
            let (pointer, detail) = describe_error(&error);
            Problem::invalid_body(all_errors(&self.0, vec![FieldError::body(pointer, detail)], T::validate))
        })
    }
}

/// The bytes of a JSON body of at most `MAX` bytes, for handlers that hash the body before parsing it.
pub struct JsonBytes<const MAX: usize = MAX_BODY>(pub Bytes);

impl<S: Send + Sync, T: DeserializeOwned + ToSchema + Validate<Context = ()>> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let JsonBytes(bytes) = JsonBytes::<MAX_BODY>::from_request(request, state).await?;
        parse(&bytes, T::validate).map(Self)
    }
}

/// `None` for an empty body.
impl<S: Send + Sync, T: DeserializeOwned + ToSchema + Validate<Context = ()>> OptionalFromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Option<Self>, Problem> {
        let headers = request.headers().clone();
        let bytes = receive(request, MAX_BODY).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        require_content_type(&headers, &["application/json"])?;
        parse(&bytes, T::validate).map(|value| Some(Self(value)))
    }
}

impl<S: Send + Sync, const MAX: usize> FromRequest<S> for JsonBytes<MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        require_content_type(request.headers(), &["application/json"])?;
        receive(request, MAX).await.map(Self)
    }
}

impl<S: Send + Sync, const MAX: usize> FromRequest<S> for MergePatch<MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        require_content_type(request.headers(), &["application/merge-patch+json", "application/json"])?;
        let bytes = receive(request, MAX).await?;
        let patch = parse_object(&bytes)?;
        if let Some(number) = std::str::from_utf8(&bytes).ok().and_then(whole::inexact_number) {
            let number: String = number.chars().take(32).collect();
            return Err(Problem::invalid(vec![FieldError::body("", format!("the number {number} has too many digits"))]));
        }
        Ok(Self(patch))
    }
}

/// Returns the essence of the `Content-Type` header (without parameters).
///
/// # Errors
/// 415 unless the essence is one of `allowed` and the body is UTF-8 without compression.
pub fn require_content_type(headers: &HeaderMap, allowed: &[&'static str]) -> Result<&'static str, Problem> {
    let (essence, charset) = content_type(headers, allowed)?;
    if charset.is_none_or(|charset| charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")) {
        Ok(essence)
    } else {
        Err(unsupported_media_type("Send the body in UTF-8, with charset=utf-8 or without a charset."))
    }
}

/// Returns the essence of the `Content-Type` header and its charset.
///
/// # Errors
/// 415 unless the essence is one of `allowed` and the body is not compressed.
pub fn content_type<'a>(headers: &'a HeaderMap, allowed: &[&'static str]) -> Result<(&'static str, Option<&'a str>), Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = given.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let essence = allowed.iter().find(|one| one.eq_ignore_ascii_case(essence)).copied();
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter().flat_map(|line| line.as_bytes().split(|c| *c == b','));
    if !encodings.all(|encoding| encoding.trim_ascii().is_empty() || encoding.trim_ascii().eq_ignore_ascii_case(b"identity")) {
        let plain = HeaderValue::from_static("identity");
        return Err(unsupported_media_type("Send the body as it is, without Content-Encoding.").with_header(header::ACCEPT_ENCODING, plain));
    }
    let essence = essence.ok_or_else(|| unsupported_media_type(format!("Send the body as {}.", allowed.join(" or "))))?;
    let mut charsets = parts.filter_map(|parameter| parameter.split_once('=')).filter(|(name, _)| name.eq_ignore_ascii_case("charset"));
    let charset = charsets.next().map(|(_, value)| value.trim_matches('"'));
    if charsets.next().is_some() { Err(unsupported_media_type("Give one charset in Content-Type.")) } else { Ok((essence, charset)) }
}

/// Returns the problem 415. `detail` says what to send instead.
pub fn unsupported_media_type(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "Unsupported media type", detail)
}
