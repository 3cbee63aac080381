//! Descriptions and headers that the responses of all operations share.

use axum::http::StatusCode;
use utoipa::openapi::{
    Content, Header, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder, Type,
    header::HeaderBuilder,
    path::{Operation, Parameter},
};

/// Adds responses and headers that follow from the rest of the operation, and missing descriptions, which OpenAPI 3.1 requires.
pub(super) fn complete(operation: &mut Operation) {
    let is_key = |parameter: &RefOr<Parameter>| matches!(parameter, RefOr::T(parameter) if parameter.name == "Idempotency-Key");
    let replays = operation.parameters.iter().flatten().any(is_key);
    let responses = &mut operation.responses.responses;
    if operation.request_body.is_some() {
        responses.entry("408".to_owned()).or_insert_with(|| problem().into());
    }
    for (status, response) in responses {
        let RefOr::T(response) = response else { continue };
        if response.description.is_empty() {
            response.description = words(status);
        }
        if status == "415" {
            response.headers.insert("Accept-Encoding".to_owned(), what_is_taken().into());
        }
        if replays && status.starts_with('2') {
            response.headers.insert("Idempotent-Replayed".to_owned(), replayed().into());
        }
    }
}

fn problem() -> Response {
    let schema = Ref::from_schema_name("Problem");
    ResponseBuilder::new().content("application/problem+json", Content::new(Some(schema))).build()
}

fn replayed() -> Header {
    let always_true = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["true"])).build();
    let description = "true if this is the stored response to an earlier request with the same Idempotency-Key; absent otherwise";
    HeaderBuilder::new().schema(Some(always_true)).description(Some(description)).build()
}

fn what_is_taken() -> Header {
    let description = "identity, if the body was compressed; absent otherwise";
    HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String).build())).description(Some(description)).build()
}

/// The description of a status in operations without their own.
fn words(status: &str) -> String {
    let reason = || status.parse().ok().and_then(|status: StatusCode| status.canonical_reason()).unwrap_or(status);
    let words = match status {
        "200" => "Done",
        "400" => "The request is malformed, or a parameter or header is invalid",
        "401" => "The access token is missing, invalid, expired or revoked; type says which",
        "403" => "The account may not do this",
        "404" => "The resource does not exist",
        "408" => "The body was not received in time",
        "413" => "The body is too large",
        "415" => "The media type or charset of the body is not supported, or it is compressed",
        "422" => "Fields are missing, unknown or invalid; errors lists them",
        "503" => "The database is unavailable or overloaded; retry after Retry-After",
        _ => reason(),
    };
    words.to_owned()
}
