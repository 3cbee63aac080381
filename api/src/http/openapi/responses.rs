//! What every operation says of its answers, in one place.

use axum::http::StatusCode;
use utoipa::openapi::{
    Content, Header, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder, Type,
    header::HeaderBuilder,
    path::{Operation, Parameter},
};

/// Adds what follows from the rest of the operation, and words where it has none: OpenAPI 3.1 requires a description.
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
    let description = "true if this is the stored answer to an earlier request with the same Idempotency-Key; absent otherwise";
    HeaderBuilder::new().schema(Some(always_true)).description(Some(description)).build()
}

fn what_is_taken() -> Header {
    let description = "identity, if the body was compressed; absent otherwise";
    HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String).build())).description(Some(description)).build()
}

/// What a status means where an operation has nothing of its own to say of it.
fn words(status: &str) -> String {
    let reason = || status.parse().ok().and_then(|status: StatusCode| status.canonical_reason()).unwrap_or(status);
    let words = match status {
        "200" => "Done",
        "400" => "The request cannot be understood",
        "401" => "Not signed in",
        "403" => "Signed in, but not allowed",
        "404" => "There is no such thing",
        "408" => "The body took too long to arrive",
        "413" => "The body is too large",
        "415" => "The body is of another media type, not in UTF-8 or compressed",
        "422" => "The body says something that isn't allowed",
        "503" => "The database is away, or busy: try again after Retry-After",
        _ => reason(),
    };
    words.to_owned()
}
