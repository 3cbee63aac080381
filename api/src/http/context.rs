//! The context of a request: its id, trace and client.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr},
};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, HeaderValue, request::Parts},
};
use bytes::Bytes;
use rand::RngExt;

/// `X-Request-Id`.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// W3C Trace Context, <https://www.w3.org/TR/trace-context/>.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A hyphenated UUID.
const REQUEST_ID_LENGTH: usize = 36;
/// Version, trace id, span id and flags in hexadecimal.
const TRACEPARENT_LENGTH: usize = 55;
/// Maximum length of a request id from a client, in characters.
const MAX_REQUEST_ID: usize = 128;

/// The request's id and trace: the client's if they are valid, otherwise generated.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// Visible ASCII.
    pub request_id: HeaderValue,
    /// `00-<trace id>-<span id>-<flags>`.
    pub traceparent: HeaderValue,
    /// Address of the client.
    pub client: IpAddr,
}

impl RequestContext {
    /// Reads the context from request headers.
    pub fn of(headers: &HeaderMap, client: IpAddr) -> Self {
        let request_id = headers.get(REQUEST_ID).filter(|id| is_request_id(id.as_bytes())).cloned();
        let traceparent = headers.get(TRACEPARENT).filter(|t| is_traceparent(t.as_bytes())).cloned();
        match (request_id, traceparent) {
            (Some(request_id), Some(traceparent)) => Self { request_id, traceparent, client },
            (request_id, traceparent) => {
                let generated = generate_ids();
                Self { request_id: request_id.unwrap_or(generated.0), traceparent: traceparent.unwrap_or(generated.1), client }
            }
        }
    }

    /// Returns the request id as text.
    pub fn request_id(&self) -> &str {
        self.request_id.to_str().unwrap_or_default()
    }

    /// Returns the `traceparent` as text.
    pub fn traceparent(&self) -> &str {
        self.traceparent.to_str().unwrap_or_default()
    }
}

impl<S: Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(|| Self::of(&parts.headers, Ipv4Addr::UNSPECIFIED.into())))
    }
}

/// Generates a random request id (UUID) and the `traceparent` of a new trace that isn't sampled (flags 00). Both are slices of one
/// allocation.
fn generate_ids() -> (HeaderValue, HeaderValue) {
    let (id, trace): ([u8; 16], [u8; 24]) = rand::rng().random();
    let mut text = [b'-'; REQUEST_ID_LENGTH + TRACEPARENT_LENGTH];
    let (request_id, traceparent) = text.split_at_mut(REQUEST_ID_LENGTH);
    uuid::Builder::from_random_bytes(id).into_uuid().hyphenated().encode_lower(request_id);
    traceparent[..2].copy_from_slice(b"00");
    hex(&trace[..16], &mut traceparent[3..35]);
    hex(&trace[16..], &mut traceparent[36..52]);
    traceparent[53..].copy_from_slice(b"00");
    let text = Bytes::copy_from_slice(&text);
    let header = |text: Bytes| HeaderValue::from_maybe_shared(text).unwrap_or(HeaderValue::from_static(""));
    (header(text.slice(..REQUEST_ID_LENGTH)), header(text.slice(REQUEST_ID_LENGTH..)))
}

fn is_request_id(id: &[u8]) -> bool {
    (1..=MAX_REQUEST_ID).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

/// Accepts only version 00: 2-32-16-2 lower-case hex digits, and neither id all zero.
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

fn hex(bytes: &[u8], text: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, digits) in bytes.iter().zip(text.chunks_exact_mut(2)) {
        digits[0] = DIGITS[usize::from(byte >> 4)];
        digits[1] = DIGITS[usize::from(byte & 15)];
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn generated_ids_are_valid_and_unique() {
        let (one, other) = (generate_ids(), generate_ids());
        assert!(is_traceparent(one.1.as_bytes()), "{one:?}");
        assert_eq!(one.0.to_str().unwrap().parse::<Uuid>().unwrap().get_version_num(), 4);
        assert_ne!(one.0, other.0);
        assert_ne!(one.1, other.1);
    }

    #[test]
    fn invalid_ids_are_detected() {
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
