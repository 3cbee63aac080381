//! The OpenAPI document: generated from the handlers, completed with what operations share.

pub mod either;
mod examples;
pub mod patterns;
mod responses;
mod security;

use utoipa::{
    Modify, OpenApi,
    openapi::{
        self,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::problem::{Document as Problem, FieldError};

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
    servers((url = "/", description = "The server that serves this document")),
    components(schemas(Problem, FieldError)),
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

/// Completes the document when it has all operations. The `modifiers` of utoipa run earlier.
pub fn complete(document: &mut openapi::OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let changes = [&mut item.put, &mut item.post, &mut item.delete, &mut item.patch].map(|operation| (false, operation));
        for (is_read, operation) in [(true, &mut item.get)].into_iter().chain(changes) {
            let Some(operation) = operation else { continue };
            responses::complete(path, is_read, operation);
            security::state(operation);
            examples::add(operation);
            patterns::resolve_in_parameters(operation);
        }
    }
    responses::add_components(document.components.get_or_insert_default());
    for schema in document.components.iter_mut().flat_map(|components| components.schemas.values_mut()) {
        patterns::resolve(schema);
    }
}

#[cfg(test)]
mod tests;
