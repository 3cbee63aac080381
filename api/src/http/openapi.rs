//! The OpenAPI document: generated from the handlers, completed with what they share.

use utoipa::{
    Modify, OpenApi,
    openapi::{
        self,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

/// What the document says of the API as a whole.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Catalog",
        description = "A shop: browse products, manage them, order them. Errors are RFC 9457 problem documents, and every response carries X-Request-Id; only what is no request yet (a malformed request line or header, a URI or head that is too long) is refused with a bare 400, 414 or 431.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    tags(
        (name = "auth", description = "Signing in"),
        (name = "admins", description = "Those who manage the catalogue"),
        (name = "customers", description = "Those who buy"),
        (name = "products", description = "The catalogue"),
        (name = "carts", description = "What customers have put aside"),
        (name = "orders", description = "What customers bought"),
        (name = "reports", description = "What was viewed")
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
