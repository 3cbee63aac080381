//! Parses JSON documents strictly, and reports all errors at once.

use std::str::from_utf8;

use catalog_values::{
    find_duplicate_key,
    json_pointer::{self, escape},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::ToSchema;

use super::{serde_message::DeserializeError, structure::BodySchema};
use crate::http::{
    problem::{FieldError, Problem},
    validate::field_errors,
};

/// Parses a JSON object into a `T`. NUL characters and duplicate keys are errors. `rules` are checked only for a body that is rejected for
/// another reason, so that the response has their errors, too. For valid bodies, commands check them.
///
/// # Errors
/// 400 if it is not JSON, 422 with every error if it is not a `T`.
pub fn parse<T: DeserializeOwned + ToSchema>(bytes: &[u8], rules: impl FnOnce(&T) -> Result<(), garde::Report>) -> Result<T, Problem> {
    let text = from_utf8(bytes).map_err(|_| Problem::malformed("The body is not valid UTF-8."))?;
    let duplicate = find_duplicate_key(text).map_err(|error| not_json(&error))?;
    // Derived structs would also accept an array of their fields.
    let is_array = text.trim_start().starts_with('[');
    // PostgreSQL text cannot hold NUL; raw control characters aren't JSON, so only the escape can carry one.
    let may_have_nul = text.contains("\\u0000");
    let mut first = None;
    if duplicate.is_none() && !is_array && !may_have_nul {
        match deserialize(text) {
            Ok(body) => return Ok(body),
            Err(error) => first = Some(error),
        }
    }
    let value: Value = serde_json::from_str(text).map_err(|error| not_json(&error))?;
    let errors: Vec<_> = duplicate.map(|pointer| FieldError::body(pointer, DUPLICATE)).into_iter().chain(first).collect();
    let errors = all_errors(&value, errors, rules);
    // After an escaped backslash, `u0000` is ordinary text.
    if errors.is_empty() { deserialize(text).map_err(|error| Problem::invalid(vec![error])) } else { Err(Problem::invalid_body(errors)) }
}

/// Error detail for a key that an object has twice.
pub const DUPLICATE: &str = "duplicate field; send it once";

/// Parses a JSON object that the service itself has written, such as a cursor. Returns `None` for everything else.
#[must_use]
pub fn parse_internal<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let text = from_utf8(bytes).ok()?;
    let is_strict =
        find_duplicate_key(text).is_ok_and(|key| key.is_none()) && !text.trim_start().starts_with('[') && !text.contains("\\u0000");
    if is_strict { serde_json::from_str(text).ok() } else { None }
}

/// Parses any JSON object without duplicate keys and NUL characters.
///
/// # Errors
/// 400 if it is not JSON, 422 if it is not such an object.
pub fn parse_object(bytes: &[u8]) -> Result<Value, Problem> {
    let text = from_utf8(bytes).map_err(|_| Problem::malformed("The body is not valid UTF-8."))?;
    let invalid = |pointer: String, detail: &str| Err(Problem::invalid(vec![FieldError::body(pointer, detail)]));
    if let Some(pointer) = find_duplicate_key(text).map_err(|error| not_json(&error))? {
        return invalid(pointer, DUPLICATE);
    }
    let value: Value = serde_json::from_str(text).map_err(|error| not_json(&error))?;
    if !value.is_object() {
        return invalid(String::new(), "the body must be a JSON object");
    }
    match find_nul(&value, "") {
        Some(pointer) => invalid(pointer, "must not contain NUL characters"),
        None => Ok(value),
    }
}

/// Returns all errors of a body that could not be deserialized: the known errors, the errors of its structure, and the violated
/// rules of its other fields.
pub fn all_errors<T: DeserializeOwned + ToSchema>(
    body: &Value,
    known: Vec<FieldError>,
    rules: impl FnOnce(&T) -> Result<(), garde::Report>,
) -> Vec<FieldError> {
    let mut checked = BodySchema::of::<T>().check(body);
    for error in known {
        checked.add(error);
    }
    if !checked.errors.is_empty()
        && let Ok(repaired) = serde_json::from_value::<T>(checked.repaired.take())
        && let Err(report) = rules(&repaired)
    {
        let broken = field_errors(report).into_iter();
        let broken: Vec<_> = broken.filter(|error| checked.is_as_sent(error.pointer.as_deref().unwrap_or_default())).collect();
        checked.errors.extend(broken);
    }
    checked.errors
}

fn deserialize<T: DeserializeOwned>(text: &str) -> Result<T, FieldError> {
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(text)).map_err(|error| {
        let (pointer, detail) = describe_error(&error);
        FieldError::body(pointer, detail)
    })
}

fn not_json(error: &serde_json::Error) -> Problem {
    Problem::malformed(format!("The body is not valid JSON: {error}."))
}

/// Translates an error of serde to the JSON pointer of the wrong value and an error detail.
#[must_use]
pub fn describe_error(error: &serde_path_to_error::Error<serde_json::Error>) -> (String, String) {
    let text = error.inner().to_string();
    // Removes line and column, because the pointer is more precise. Only errors of texts have them.
    let message = if error.inner().line() == 0 { None } else { text.rsplit_once(" at line ") };
    let at = json_pointer::from_path(error.path());
    let path = error.path().to_string();
    let name = |field: &str| if path == "." { field.to_owned() } else { format!("{path}.{field}") };
    match DeserializeError::parse(message.map_or(&text, |(message, _)| message)) {
        DeserializeError::Missing(field) => (format!("{at}/{}", escape(field)), format!("{} is required", name(field))),
        DeserializeError::Unknown(field) => (format!("{at}/{}", escape(field)), super::structure::UNKNOWN_FIELD.to_owned()),
        // Messages of the service begin with a verb.
        DeserializeError::Value(detail) if detail.starts_with("must ") => {
            (at, format!("{} {detail}", if path == "." { "the body" } else { &path }))
        }
        DeserializeError::Value(detail) => (at, detail),
    }
}

fn find_nul(value: &Value, at: &str) -> Option<String> {
    match value {
        Value::String(text) if text.contains('\0') => Some(at.to_owned()),
        Value::Array(items) => items.iter().enumerate().find_map(|(index, item)| find_nul(item, &format!("{at}/{index}"))),
        Value::Object(fields) => fields.iter().find_map(|(key, item)| {
            let here = format!("{at}/{}", escape(key));
            if key.contains('\0') { Some(here) } else { find_nul(item, &here) }
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
