//! Extracts query strings. Errors have the name of the parameter.

use std::{borrow::Cow, collections::HashSet};

use axum::{extract::FromRequestParts, http::request::Parts};
use catalog_values::text::Text;
use chrono::{DateTime, Datelike, Utc};
use percent_encoding::percent_decode_str;
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned},
};

use super::{
    body::serde_message::DeserializeError,
    problem::{FieldError, Problem},
};

/// A query string of type `T`, which should deny unknown fields. Values are in NFC.
pub struct Query<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let reject = |name: &str, why: &str| Err(Problem::bad_parameters(vec![FieldError::parameter(name, why)]));
        let mut names = HashSet::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let name = percent_decode_str(pair.split('=').next().unwrap_or_default()).decode_utf8_lossy();
            match percent_decode_str(pair).decode_utf8() {
                Err(_) => return reject(&name, &format!("{name} must be percent-encoded UTF-8")),
                Ok(text) if text.contains('\0') => return reject(&name, &format!("{name} must not contain NUL characters")),
                Ok(_) if !names.insert(name.clone()) => return reject(&name, &format!("{name} is a duplicate parameter; send it once")),
                Ok(_) => {}
            }
        }
        let query = normalized(query);
        let pairs = form_urlencoded::parse(query.as_bytes());
        serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs)).map(Self).map_err(|error| {
            let at = error.path().to_string();
            let error = match DeserializeError::parse(&error.inner().to_string()) {
                DeserializeError::Missing(name) => FieldError::parameter(name, format!("{name} is required")),
                DeserializeError::Unknown(name) => FieldError::parameter(name, "unknown parameter; remove it or check its spelling"),
                // Messages of the service begin with a verb.
                DeserializeError::Value(detail) if detail.starts_with("must ") && at != "." => {
                    FieldError::parameter(&at, format!("{at} {detail}"))
                }
                DeserializeError::Value(detail) => FieldError::parameter(if at == "." { "query".into() } else { at }, detail),
            };
            Problem::bad_parameters(vec![error])
        })
    }
}

/// The query string with its values in NFC.
fn normalized(query: &str) -> Cow<'_, str> {
    if query.is_ascii() && !query.contains('%') {
        return query.into();
    }
    let pairs = form_urlencoded::parse(query.as_bytes()).map(|(name, value)| (name, value.into_nfc()));
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish().into()
}

/// Deserializes an optional parameter that is `true` or `false`. Needs `#[serde(default)]`.
///
/// # Errors
/// If it is neither.
pub fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(de::Error::custom("must be true or false")),
    }
}

/// Deserializes an optional parameter that is a time. Needs `#[serde(default)]`.
///
/// # Errors
/// If it is anything else.
pub fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text = String::deserialize(deserializer)?;
    // The library also accepts a blank instead of the T. A time whose year has four digits can have a year of five digits in UTC.
    let time = DateTime::parse_from_rfc3339(&text).ok().filter(|time| !text.contains(' ') && (0..=9999).contains(&time.to_utc().year()));
    time.map(|time| Some(time.to_utc())).ok_or_else(|| de::Error::custom("must be an RFC 3339 time such as 2026-11-01T00:00:00Z"))
}
