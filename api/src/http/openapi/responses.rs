//! Responses and headers that follow from the rest of an operation. Annotations list only what differs.

use axum::http::StatusCode;
use utoipa::openapi::{
    Components, Content, Header, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder, Type,
    header::HeaderBuilder,
    path::{Operation, Parameter, ParameterIn},
};

use super::{examples, security};

/// Adds the errors that follow from its path, parameters, body and security to an operation, then completes all responses.
/// An error that the operation doesn't describe itself refers to the response in [`add_components`].
pub(super) fn complete(path: &str, is_read: bool, operation: &mut Operation) {
    for status in errors(path, is_read, operation) {
        let shared = || Ref::from_response_name(component_name(status)).into();
        operation.responses.responses.entry(status.to_owned()).or_insert_with(shared);
    }
    let replays = has_header(operation, "Idempotency-Key");
    let id = operation.operation_id.clone().unwrap_or_default();
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        if status.as_str() >= "400" {
            complete_error(&id, status, response);
        }
        if replays && status == "409" {
            add_header(response, "Retry-After", Type::Integer, "Seconds, while the first request is in progress");
        }
        if response.description.is_empty() {
            response.description = description(status).to_owned();
        }
        if replays && status.starts_with('2') {
            response.headers.insert("Idempotent-Replayed".to_owned(), replayed().into());
        }
        if is_page(response) {
            add_header(response, "Link", Type::String, "rel=\"next\", unless this is the last page");
        }
    }
}

/// Adds the responses that operations refer to.
pub(super) fn add_components(components: &mut Components) {
    for status in ["400", "401", "403", "404", "408", "412", "413", "415", "422", "429", "503"] {
        let mut response = ResponseBuilder::new().description(description(status)).build();
        complete_error("", status, &mut response);
        components.responses.insert(component_name(status), response.into());
    }
}

/// Returns the error statuses that follow from the operation's path, parameters, body and security.
fn errors(path: &str, is_read: bool, operation: &Operation) -> Vec<&'static str> {
    let is_checked = |parameter: &Parameter| match parameter.parameter_in {
        ParameterIn::Query => true,
        // Any text can be a tag that the resource doesn't have.
        ParameterIn::Header => parameter.name != "If-None-Match",
        _ => false,
    };
    let has_body = operation.request_body.is_some();
    let access = security::access(operation);
    let rules = [
        ("400", has_body || parameters(operation).any(is_checked)),
        ("401", access.takes_token),
        ("403", access.is_for_role),
        ("404", path.contains('{')),
        ("412", has_header(operation, "If-Match")),
        ("408", has_body),
        ("413", has_body),
        ("415", has_body),
        ("422", has_body),
        // Anonymous reads are limited per client.
        ("429", is_read && access.takes_token && access.is_public),
        // The public keys are in memory.
        ("503", path.starts_with("/v1/")),
    ];
    rules.into_iter().filter_map(|(status, applies)| applies.then_some(status)).collect()
}

fn complete_error(operation: &str, status: &str, response: &mut Response) {
    let mut content = Content::new(Some(Ref::from_schema_name("Problem")));
    content.example = examples::find_problem(operation, status);
    response.content.insert("application/problem+json".to_owned(), content.into());
    match status {
        "415" => add_header(response, "Accept-Encoding", Type::String, "identity, if the body was compressed; absent otherwise"),
        "429" | "503" => add_header(response, "Retry-After", Type::Integer, "Seconds"),
        _ => {}
    }
}

fn parameters(operation: &Operation) -> impl Iterator<Item = &Parameter> {
    operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    })
}

fn has_header(operation: &Operation, name: &str) -> bool {
    parameters(operation).any(|parameter| parameter.parameter_in == ParameterIn::Header && parameter.name == name)
}

/// Whether the body is a [`crate::http::page::Page`].
fn is_page(response: &Response) -> bool {
    let is_page = |content: &RefOr<Content>| matches!(content, RefOr::T(content) if examples::schema_name(content).ends_with("Page"));
    response.content.values().any(is_page)
}

fn add_header(response: &mut Response, name: &str, of: Type, description: &str) {
    let schema = ObjectBuilder::new().schema_type(of).build();
    let header = HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build();
    response.headers.insert(name.to_owned(), header.into());
}

fn replayed() -> Header {
    let always_true = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["true"])).build();
    let description = "true if this is the stored response to an earlier request with the same Idempotency-Key; absent otherwise";
    HeaderBuilder::new().schema(Some(always_true)).description(Some(description)).build()
}

/// The name of the shared response, such as `NotFound`.
fn component_name(status: &str) -> String {
    reason(status).split(' ').collect()
}

fn reason(status: &str) -> &str {
    status.parse().ok().and_then(|status: StatusCode| status.canonical_reason()).unwrap_or_default()
}

/// The description of a status in operations without their own.
fn description(status: &str) -> &str {
    match status {
        "200" => "Done",
        "400" => "The request is malformed, or a parameter or header is invalid",
        "401" => "The access token is missing, invalid, expired or revoked; type says which",
        "403" => "The operation is for accounts of the other role",
        "404" => "The resource does not exist",
        "408" => "The body was not received in time",
        "412" => "The resource has another entity tag",
        "413" => "The body is too large",
        "415" => "The media type or charset of the body is not supported, or it is compressed",
        "422" => "Fields are missing, unknown or invalid; errors lists them",
        "429" => "This client makes too many anonymous reads",
        "503" => "The database is unavailable or overloaded; retry after Retry-After",
        _ => reason(status),
    }
}
