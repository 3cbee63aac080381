//! Query strings, refused with the name of the parameter.

use axum::{extract::FromRequestParts, http::request::Parts};
use chrono::{DateTime, Datelike, Utc};
use percent_encoding::percent_decode_str;
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned},
};
use uuid::Uuid;

use super::{
    body::words::{A_UUID, in_plain_words},
    problem::{FieldError, Problem},
};

/// A query string of type `T`, which should deny unknown fields.
pub struct Query<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        for pair in query.split('&') {
            let name = || percent_decode_str(pair.split('=').next().unwrap_or_default()).decode_utf8_lossy().into_owned();
            let refuse = |why: &str| Err(Problem::bad_parameters(vec![FieldError::parameter(name(), why)]));
            match percent_decode_str(pair).decode_utf8() {
                Err(_) => return refuse("is not valid UTF-8"),
                Ok(text) if text.contains('\0') => return refuse("NUL characters are not allowed"),
                Ok(_) => {}
            }
        }
        let pairs = form_urlencoded::parse(query.as_bytes());
        serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs)).map(Self).map_err(|error| {
            let parameter = error.path().to_string();
            let detail = in_plain_words(&error.inner().to_string());
            Problem::bad_parameters(vec![FieldError::parameter(if parameter == "." { "query".into() } else { parameter }, detail)])
        })
    }
}

/// A parameter that is `true` or `false`; with `#[serde(default)]`.
///
/// # Errors
/// If it is neither.
pub fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(de::Error::custom("give true or false")),
    }
}

/// A parameter that is an id; with `#[serde(default)]`.
///
/// # Errors
/// If it isn't one.
pub fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Uuid>, D::Error> {
    let id = String::deserialize(deserializer)?.parse();
    id.map(Some).map_err(|_| de::Error::custom(A_UUID))
}

/// A parameter that is a time; with `#[serde(default)]`.
///
/// # Errors
/// If it isn't one.
pub fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text = String::deserialize(deserializer)?;
    // RFC 3339, section 1: years have four digits.
    let time = text.parse().ok().filter(|time: &DateTime<Utc>| (0..=9999).contains(&time.year()));
    time.map(Some).ok_or_else(|| de::Error::custom("give an RFC 3339 time such as 2026-11-01T00:00:00Z"))
}
