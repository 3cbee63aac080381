//! JSON bodies: bounded, strict, and rejected with the location of every error.

mod object;
mod receive;
mod unique;
mod upload;
pub mod whole;
pub(crate) mod words;

pub use object::{Object, objects};
pub use unique::doubled_key;
pub use upload::upload;

use axum::{
    body::Bytes,
    extract::{FromRequest, OptionalFromRequest, Request},
    http::{HeaderMap, HeaderValue, StatusCode, header},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::{receive::receive, words::in_plain_words};
use super::problem::{FieldError, Problem};

/// Largest JSON body, in bytes. Imports are streamed.
pub const MAX_BODY: usize = 64 * 1024;
/// Largest body of one product, in bytes: it has a description and attributes.
pub const MAX_PRODUCT_BODY: usize = 1024 * 1024;

/// A JSON body of type `T`, which should deny unknown fields. Rules beyond types are the domain's.
pub struct Json<T>(pub T);

/// A JSON merge patch (RFC 7396) of at most `MAX` bytes: `application/merge-patch+json`, or plain `application/json`.
pub struct MergePatch<const MAX: usize = MAX_BODY>(pub Value);

impl MergePatch {
    /// The patch as `T`, which should deny unknown fields, where it isn't applied to a document.
    ///
    /// # Errors
    /// 422 with the place of the fault.
    pub fn read<T: DeserializeOwned>(self) -> Result<T, Problem> {
        serde_path_to_error::deserialize(self.0).map_err(|error| {
            let (pointer, detail) = misfit(&error);
            Problem::invalid(vec![FieldError::body(pointer, detail)])
        })
    }
}

/// The exact bytes of a JSON body of at most `MAX` bytes, for what must hash them before reading them.
pub struct JsonBytes<const MAX: usize = MAX_BODY>(pub Bytes);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let JsonBytes(bytes) = JsonBytes::<MAX_BODY>::from_request(request, state).await?;
        parse(&bytes).map(Self)
    }
}

/// `None` for an empty body.
impl<S: Send + Sync, T: DeserializeOwned> OptionalFromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Option<Self>, Problem> {
        let headers = request.headers().clone();
        let bytes = receive(request, MAX_BODY).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        require_content_type(&headers, &["application/json"])?;
        parse(&bytes).map(|value| Some(Self(value)))
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
        let patch: Value = parse(&bytes)?;
        if let Some(number) = std::str::from_utf8(&bytes).ok().and_then(whole::inexact_number) {
            let number: String = number.chars().take(32).collect();
            return Err(Problem::invalid(vec![FieldError::body("", format!("{number} has more digits than a number may have here"))]));
        }
        if patch.is_object() {
            Ok(Self(patch))
        } else {
            Err(Problem::invalid(vec![FieldError::body("", "a merge patch is a JSON object")]))
        }
    }
}

/// The essence of the `Content-Type` header (without parameters), or 415 unless it is one of `allowed`, in UTF-8 and
/// not compressed.
///
/// # Errors
/// 415.
pub fn require_content_type(headers: &HeaderMap, allowed: &[&'static str]) -> Result<&'static str, Problem> {
    let (essence, charset) = content_type(headers, allowed)?;
    if charset.is_none_or(|charset| charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")) {
        Ok(essence)
    } else {
        Err(unsupported_media_type("Send the body in UTF-8, with charset=utf-8 or without a charset."))
    }
}

/// The essence of the `Content-Type` header and its charset, or 415 unless the essence is one of `allowed` and the body
/// is not compressed.
///
/// # Errors
/// 415.
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

/// 415 with what to send instead.
pub fn unsupported_media_type(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "Unsupported media type", detail)
}

/// Parses a JSON document strictly.
///
/// # Errors
/// 400 for what isn't JSON, 422 for JSON of another shape, with NUL characters or with a key twice.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|_| Problem::malformed("The body is not valid UTF-8."))?;
    // PostgreSQL text cannot hold NUL; raw control characters aren't JSON, so only the escape can carry one.
    if text.contains("\\u0000") {
        let value: Value = serde_json::from_str(text).map_err(|error| not_json(&error))?;
        if let Some(pointer) = find_nul(&value, "") {
            return Err(Problem::invalid(vec![FieldError::body(pointer, "contains a NUL character, which isn't allowed")]));
        }
    }
    if let Some(pointer) = doubled_key(text).map_err(|error| not_json(&error))? {
        return Err(Problem::invalid(vec![FieldError::body(pointer, "is given twice")]));
    }
    // Derived structs would take an array of their fields as well.
    if text.trim_start().starts_with('[') {
        return Err(Problem::invalid(vec![FieldError::body("", "the body is a JSON object, not an array")]));
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let (pointer, detail) = misfit(&error);
        Problem::invalid(vec![FieldError::body(pointer, detail)])
    })
}

fn not_json(error: &serde_json::Error) -> Problem {
    Problem::malformed(format!("The body is not valid JSON: {error}."))
}

/// Where a value doesn't have the type that is asked for, as a JSON pointer, and what is wrong with it.
#[must_use]
pub fn misfit(error: &serde_path_to_error::Error<serde_json::Error>) -> (String, String) {
    let text = error.inner().to_string();
    // Lines and columns, which there are in a text and not in a document, are of no use beside a pointer.
    let message = if error.inner().line() == 0 { None } else { text.rsplit_once(" at line ") };
    (pointer(error.path()), in_plain_words(message.map_or(&text, |(message, _)| message)))
}

/// A path as a JSON pointer (RFC 6901).
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let names = path.iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(escape(key)),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    names.fold(String::new(), |pointer, name| pointer + "/" + &name)
}

/// A key as a segment of a JSON pointer: RFC 6901, section 3.
#[must_use]
pub fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn find_nul(value: &Value, at: &str) -> Option<String> {
    match value {
        Value::String(text) if text.contains('\0') => Some(at.to_owned()),
        Value::Array(items) => items.iter().enumerate().find_map(|(index, item)| find_nul(item, &format!("{at}/{index}"))),
        Value::Object(fields) => fields.iter().find_map(|(key, item)| {
            let here = format!("{at}/{}", escape(key));
            if key.contains('\0') { Some(at.to_owned()) } else { find_nul(item, &here) }
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only its shape matters")]
    struct Shape {
        price: Option<Inner>,
        name: Option<String>,
    }
    #[derive(Debug, serde::Deserialize)]
    #[allow(dead_code, reason = "only its shape matters")]
    struct Inner {
        amount: String,
    }

    fn refused(body: &str) -> String {
        String::from_utf8(parse::<Shape>(body.as_bytes()).unwrap_err().to_json("r")).unwrap()
    }

    #[test]
    fn wrong_types_and_unknown_fields_are_named_by_pointer() {
        assert!(refused(r#"{"price": {"amount": 1.5}}"#).contains(r##""pointer":"#/price/amount""##));
        assert!(refused(r#"{"price": "sold at line 3"}"#).contains(r#"invalid type: string \"sold at line 3\", expected an object"#));
        assert!(refused(r#"{"nmae": "x"}"#).contains("unknown field `nmae`"));
    }

    #[test]
    fn a_value_that_speaks_of_lines_is_not_cut_there() {
        let patch: MergePatch = MergePatch(serde_json::json!({"price": "look at line 3"}));
        assert!(String::from_utf8(patch.read::<Shape>().unwrap_err().to_json("r")).unwrap().contains("look at line 3"));
    }

    #[test]
    fn nul_is_refused_but_an_escaped_backslash_before_u0000_is_text() {
        assert!(refused(r#"{"name": "a\u0000b"}"#).contains(r##""pointer":"#/name""##));
        assert_eq!(parse::<Shape>(br#"{"name": "a\\u0000b"}"#).unwrap().name.unwrap(), "a\\u0000b");
    }

    #[test]
    fn what_is_not_json_is_malformed() {
        assert!(refused("[\"name\"]").contains("JSON object"));
        for body in ["", "{", "{} {}", "{\"name\": }", "{\"nmae\":", "{\"nmae\": 1} x"] {
            assert!(refused(body).contains("problems/malformed"), "{body}");
        }
    }
}
