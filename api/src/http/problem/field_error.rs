//! Errors of single fields and parameters.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;
use uuid::Uuid;

/// The ASCII characters that RFC 3986 forbids in a fragment: all except `pchar`, `/` and `?`.
const NOT_IN_FRAGMENTS: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// One invalid field of the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The field in the body: a JSON pointer, written as a URI fragment.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_fragment")]
    #[schema(example = "#/price/amount")]
    pub pointer: Option<String>,
    /// The query parameter or header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// What is wrong and what is allowed.
    pub detail: String,
    /// The product that the error is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_id: Option<Uuid>,
    /// Units of the product that the client can get: those that can be sold now, and those that its cart reserves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available: Option<i64>,
}

impl FieldError {
    /// Creates the error of an invalid value in the body. `path` is a JSON pointer such as `/price/amount`.
    pub fn body(path: impl AsRef<str>, detail: impl Into<String>) -> Self {
        Self { pointer: Some(path.as_ref().to_owned()), parameter: None, detail: detail.into(), product_id: None, available: None }
    }

    /// Creates the error of an invalid query parameter or header.
    pub fn parameter(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: None, parameter: Some(name.into()), detail: detail.into(), product_id: None, available: None }
    }

    /// Adds the product that the error concerns.
    #[must_use]
    pub fn about(self, product_id: Uuid) -> Self {
        Self { product_id: Some(product_id), ..self }
    }

    /// Adds the units of the product that the client can get.
    #[must_use]
    pub fn with_available(self, available: i64) -> Self {
        Self { available: Some(available), ..self }
    }
}

/// Writes a JSON pointer as a URI fragment (RFC 6901, section 6): UTF-8, percent-encoded as RFC 3986 (section 3.5) requires.
#[allow(clippy::ref_option, reason = "serde's signature")]
fn as_fragment<S: Serializer>(pointer: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    let pointer = pointer.as_deref().unwrap_or_default();
    serializer.collect_str(&format_args!("#{}", utf8_percent_encode(pointer, NOT_IN_FRAGMENTS)))
}
