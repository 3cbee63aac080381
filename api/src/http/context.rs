//! What is known of a request wherever it goes: its id and its trace.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, HeaderValue, request::Parts},
};
use rand::RngExt;
use uuid::Uuid;

/// `X-Request-Id`.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// W3C Trace Context, <https://www.w3.org/TR/trace-context/>.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Longest request id taken from a client.
const MAX_REQUEST_ID: usize = 128;

/// The request's id and trace, taken from the client when valid and made when missing.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// Visible ASCII.
    pub request_id: HeaderValue,
    /// `00-<trace id>-<span id>-<flags>`.
    pub traceparent: HeaderValue,
}

impl RequestContext {
    /// Reads the context from request headers.
    pub fn of(headers: &HeaderMap) -> Self {
        let request_id = headers.get(REQUEST_ID).filter(|id| is_request_id(id.as_bytes())).cloned();
        let traceparent = headers.get(TRACEPARENT).filter(|t| is_traceparent(t.as_bytes())).cloned();
        Self { request_id: request_id.unwrap_or_else(new_request_id), traceparent: traceparent.unwrap_or_else(new_traceparent) }
    }

    /// The id as text.
    pub fn request_id(&self) -> &str {
        self.request_id.to_str().unwrap_or_default()
    }

    /// The trace as text.
    pub fn traceparent(&self) -> &str {
        self.traceparent.to_str().unwrap_or_default()
    }
}

impl<S: Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(|| Self::of(&parts.headers)))
    }
}

fn is_request_id(id: &[u8]) -> bool {
    (1..=MAX_REQUEST_ID).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

/// Version 00 only: 2-32-16-2 lower-case hex digits, neither id all zero.
fn is_traceparent(value: &[u8]) -> bool {
    let hex = |part: &[u8]| part.iter().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(c));
    let id = |part: &[u8]| hex(part) && part.iter().any(|c| *c != b'0');
    value.len() == 55
        && value.starts_with(b"00-")
        && value[35] == b'-'
        && value[52] == b'-'
        && id(&value[3..35])
        && id(&value[36..52])
        && hex(&value[53..55])
}

fn new_request_id() -> HeaderValue {
    let mut buffer = Uuid::encode_buffer();
    let text = Uuid::now_v7().hyphenated().encode_lower(&mut buffer);
    HeaderValue::from_bytes(text.as_bytes()).unwrap_or(HeaderValue::from_static("none"))
}

fn new_traceparent() -> HeaderValue {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let ids: [u8; 24] = rand::rng().random();
    // A trace nobody sampled: flags 00.
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    for (index, byte) in ids.iter().enumerate() {
        let at = if index < 16 { 3 + 2 * index } else { 36 + 2 * (index - 16) };
        text[at] = HEX[usize::from(byte >> 4)];
        text[at + 1] = HEX[usize::from(byte & 15)];
    }
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_make_is_what_we_take() {
        assert!(is_request_id(new_request_id().as_bytes()));
        assert!(is_traceparent(new_traceparent().as_bytes()));
    }

    #[test]
    fn bad_ids_are_replaced() {
        for bad in ["", "with space", &"x".repeat(129), "umläut"] {
            assert!(!is_request_id(bad.as_bytes()), "{bad}");
        }
        let zero_trace = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        let upper = "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01";
        for bad in ["", zero_trace, upper, "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"] {
            assert!(!is_traceparent(bad.as_bytes()), "{bad}");
        }
        assert!(is_traceparent(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
    }
}
