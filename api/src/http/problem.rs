//! Errors as RFC 9457 problem documents.
//!
//! A [`Problem`] is an extension of the response. [`super::observe`] writes the body, because it knows the request id. It also
//! logs the cause, so that no other code has to.

mod field_error;

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use catalog_logging::Chain;
use serde::Serialize;
use utoipa::ToSchema;

pub use self::field_error::FieldError;
use crate::database::{Busy, ReadError};

/// Base URL of problem types. The last path segment identifies the type.
pub const TYPE_BASE: &str = "https://catalog.rs/problems/";

/// Maximum number of listed errors of a body. Further errors are only counted.
const MAX_ERRORS: usize = 100;
/// Seconds after which a read may get a connection.
const RETRY_AFTER_BUSY: u16 = 2;
/// Seconds after which a statement that timed out may be retried, in case the database was slow for another reason.
const RETRY_AFTER_TIMEOUT: u16 = 10;

/// An error response.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    kind: &'static str,
    title: &'static str,
    detail: Box<str>,
    errors: Vec<FieldError>,
    more_errors: u32,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<Box<str>>,
    is_retryable: bool,
}

/// The document as it is sent.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Document<'a> {
    /// Stable identifier of the kind of problem.
    #[schema(example = "https://catalog.rs/problems/not-found")]
    r#type: String,
    /// The same for every problem of this type.
    title: &'a str,
    /// The HTTP status.
    #[schema(example = 404)]
    status: u16,
    /// What is wrong and how to fix it.
    detail: &'a str,
    /// Each invalid field.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    /// How many more errors there are than those listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    more_errors: Option<u32>,
    /// The id that every log line of this request carries. Quote it when you report a problem.
    request_id: &'a str,
}

impl Problem {
    /// Creates a problem of any type.
    pub fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            title,
            detail: detail.into().into(),
            errors: Vec::new(),
            more_errors: 0,
            headers: Vec::new(),
            cause: None,
            is_retryable: false,
        }
    }

    /// 400: the request is malformed.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", "Malformed request", detail)
    }

    /// 400: query parameters or headers are invalid.
    pub fn bad_parameters(errors: Vec<FieldError>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid-parameters", "Invalid parameters", summary(&errors)).with_errors(errors)
    }

    /// 401. `kind` names what the client must do next, such as refresh its token or sign in again.
    ///
    /// The challenge has no error code, as for requests without an access token: RFC 6750, section 3.1.
    pub fn unauthorized(kind: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, kind, "Authentication required", detail)
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// Adds `error="invalid_token"` to the challenge of a 401, for a rejected access token.
    #[must_use]
    pub fn with_invalid_token_challenge(self) -> Self {
        self.with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\""))
    }

    /// 403: signed in, but not allowed.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Not allowed", detail)
    }

    /// 404: the resource does not exist.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
    }

    /// 409: the request conflicts with the current state. `kind` names the conflict.
    pub fn conflict(kind: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, kind, "Conflict with the current state", detail)
    }

    /// 412: a precondition of the request does not hold.
    pub fn precondition_failed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "precondition-failed", "The resource has changed", detail)
    }

    /// 422: the body is JSON with invalid fields.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Invalid request", summary(&errors)).with_errors(errors)
    }

    /// 422 with at most 100 listed errors, because a body can have any number of unknown fields.
    pub fn invalid_body(mut errors: Vec<FieldError>) -> Self {
        let (detail, more) = (summary(&errors), errors.len().saturating_sub(MAX_ERRORS));
        errors.truncate(MAX_ERRORS);
        Self::invalid(errors).with_detail(detail).with_more_errors(more as u64)
    }

    /// 429: too many requests. `retry_after` is in seconds.
    pub fn too_many(detail: impl Into<String>, retry_after: u64) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "Too many requests", detail)
            .with_header(header::RETRY_AFTER, HeaderValue::from(retry_after.max(1)))
    }

    /// 503: a dependency is unavailable or a limit is reached. Clients may retry.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Temporarily unavailable", detail)
            .with_header(header::RETRY_AFTER, HeaderValue::from(2))
    }

    /// 503: concurrent requests change the same rows. The service may run the command again in a new unit of work.
    pub fn retryable(detail: impl Into<String>) -> Self {
        Self { is_retryable: true, ..Self::unavailable(detail) }
    }

    /// Whether the command may be run again in a new unit of work.
    pub fn is_retryable(&self) -> bool {
        self.is_retryable
    }

    /// 500: a fault of the service. The cause is logged and not shown.
    pub fn internal(cause: &(dyn std::error::Error + 'static)) -> Self {
        let detail = "The service failed to process the request. Quote request_id when you report this.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail).caused_by(cause)
    }

    /// 503: the database is unavailable, because of `cause`.
    pub fn database_unavailable(cause: &sqlx::Error) -> Self {
        Self::unavailable("The database is unavailable or overloaded. Retry after the seconds in Retry-After.").caused_by(cause)
    }

    /// Adds the cause, which is logged with its own causes and not sent to the client.
    #[must_use]
    pub fn caused_by(mut self, cause: &(dyn std::error::Error + 'static)) -> Self {
        self.cause = Some(Chain(cause).to_string().into());
        self
    }

    /// Returns why the request failed, for logs.
    pub fn cause(&self) -> &str {
        self.cause.as_deref().unwrap_or(&self.detail)
    }

    /// Returns the last segment of the problem type, for logs.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Adds the invalid fields.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// Adds how many errors there are beyond those listed.
    #[must_use]
    pub fn with_more_errors(mut self, more: u64) -> Self {
        self.more_errors = u32::try_from(more).unwrap_or(u32::MAX);
        self
    }

    /// Replaces the detail.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into().into();
        self
    }

    /// Adds a response header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Formats the document with a request id.
    pub fn to_json(&self, request_id: &str) -> Vec<u8> {
        let document = Document {
            r#type: format!("{TYPE_BASE}{}", self.kind),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            errors: &self.errors,
            more_errors: Some(self.more_errors).filter(|more| *more > 0),
            request_id,
        };
        serde_json::to_vec(&document).unwrap_or_default()
    }
}

fn summary(errors: &[FieldError]) -> String {
    match errors {
        [one] => one.detail.clone(),
        many => format!("{} values are invalid; see errors.", many.len()),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Maps database errors that no domain handles.
impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        if crate::database::is_statement_timeout(&error) {
            let detail =
                "The database took too long for this request. Narrow it, for example with more filters, another sort or a smaller limit.";
            Self::new(StatusCode::SERVICE_UNAVAILABLE, "statement-timeout", "The request takes too long", detail)
                .with_header(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_TIMEOUT))
                .caused_by(&error)
        } else if crate::database::is_outage(&error) {
            Self::database_unavailable(&error)
        } else if crate::database::is_contention(&error) {
            // Not retryable: most are lock timeouts, after which the client has waited long enough. A domain that expects
            // deadlocks maps them itself.
            Self::unavailable("The resource is being modified by another request. No changes were made; retry.").caused_by(&error)
        } else {
            Self::internal(&error)
        }
    }
}

/// Maps reads that got no connection in time to 503.
impl From<Busy> for Problem {
    fn from(Busy { kind }: Busy) -> Self {
        let detail = format!("The database is busy with other {kind}. Retry after the seconds in Retry-After.");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "too-busy", "Too many reads at once", detail)
            .with_header(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_BUSY))
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Busy(busy) => busy.into(),
            ReadError::Database(error) => error.into(),
        }
    }
}
