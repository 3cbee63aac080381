//! The OpenAPI document: generated from the handlers, completed with what operations share.

pub mod either;
pub mod patterns;
mod responses;

use utoipa::{
    Modify, OpenApi,
    openapi::{
        self,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

/// The API as a whole.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Catalog",
        description = "Browse, manage and order the products of a shop. Errors are RFC 9457 problem documents, and every response carries X-Request-Id. Malformed request lines and headers get 400 and heads that are too long 431, without a body.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    tags(
        (name = "auth", description = "Signing in"),
        (name = "admins", description = "Accounts that manage the catalogue"),
        (name = "customers", description = "Accounts that order"),
        (name = "products", description = "The catalogue"),
        (name = "carts", description = "Reserved products of customers"),
        (name = "orders", description = "Orders of customers"),
        (name = "reports", description = "Views of products")
    ),
    modifiers(&Bearer)
)]
pub struct ApiDocument;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut openapi::OpenApi) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("access_token of POST /v1/auth/login"))
            .build();
        document.components.get_or_insert_default().add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
}

/// Completes the document once all operations are in it, which `modifiers` come too early for.
pub fn complete(document: &mut openapi::OpenApi) {
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        for operation in operations.into_iter().flatten() {
            responses::complete(operation);
            patterns::resolve_in_parameters(operation);
        }
    }
    for schema in document.components.iter_mut().flat_map(|components| components.schemas.values_mut()) {
        patterns::resolve(schema);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    fn document() -> Value {
        serde_json::to_value(crate::router::openapi()).unwrap()
    }

    fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
        let paths = document["paths"].as_object().unwrap().iter();
        paths.flat_map(|(path, item)| {
            item.as_object().unwrap().iter().map(move |(method, operation)| (format!("{method} {path}"), operation))
        })
    }

    #[test]
    fn every_response_has_a_description() {
        for (at, operation) in operations(&document()) {
            for (status, response) in operation["responses"].as_object().unwrap() {
                assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{at} {status}");
            }
        }
    }

    #[test]
    fn every_operation_with_a_body_documents_408() {
        for (at, operation) in operations(&document()).filter(|(_, operation)| operation["requestBody"].is_object()) {
            assert!(operation["responses"]["408"]["content"]["application/problem+json"].is_object(), "{at}");
        }
    }

    #[test]
    fn responses_that_may_be_replayed_document_the_header() {
        let takes_key = |operation: &Value| {
            operation["parameters"].as_array().is_some_and(|all| all.iter().any(|parameter| parameter["name"] == "Idempotency-Key"))
        };
        let document = document();
        let replayed: Vec<_> = operations(&document).filter(|(_, operation)| takes_key(operation)).collect();
        assert_eq!(replayed.len(), 4);
        for (at, operation) in replayed {
            let has_header = |status: &str| operation["responses"][status]["headers"]["Idempotent-Replayed"].is_object();
            assert!((has_header("200") || has_header("201")) && !has_header("409"), "{at}");
        }
    }

    #[test]
    fn no_name_of_a_pattern_is_left_and_every_pattern_is_of_the_whole_text() {
        fn check(value: &Value) {
            match value {
                Value::Object(fields) => {
                    if let Some(pattern) = fields.get("pattern").and_then(Value::as_str) {
                        assert!(pattern.starts_with('^') && pattern.ends_with('$'), "{pattern}");
                    }
                    fields.values().for_each(check);
                }
                Value::Array(items) => items.iter().for_each(check),
                _ => {}
            }
        }
        check(&document());
    }
}
