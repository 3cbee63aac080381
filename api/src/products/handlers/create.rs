//! Handler that creates products.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use garde::Validate;

use super::etag_of;
use crate::{
    http::{
        body::{JsonBytes, MAX_PRODUCT_BODY, parse},
        clock,
        context::RequestContext,
        idempotency::{IdempotencyKey, respond_once},
        problem::Problem,
        public_url::PublicUrl,
    },
    identity::principal::Admin,
    products::{Catalogue, Product, ProductInput},
};

/// Create a product
///
/// A request repeated with the same `Idempotency-Key` returns the first response again and creates nothing.
#[utoipa::path(post, path = "/v1/products", tag = "products",
    request_body = ProductInput,
    params(("Idempotency-Key" = Option<String>, Header, nullable = false, pattern = "idempotency-key", description = "Makes retries safe for 24 hours")),
    responses(
        (status = 201, body = Product, headers(("Location" = String), ("ETag" = String))),
        (status = 409, description = "The sku is taken, or the first request with this key is still in progress"),
    ), security(("bearer" = ["admin"])))]
pub async fn create_product(
    State(catalogue): State<Arc<Catalogue>>,
    State(public_url): State<PublicUrl>,
    admin: Admin,
    context: RequestContext,
    headers: HeaderMap,
    JsonBytes(body): JsonBytes<MAX_PRODUCT_BODY>,
) -> Result<Response, Problem> {
    let input: ProductInput = parse(&body, |input: &ProductInput| input.validate_with(&catalogue.rules()))?;
    let key = IdempotencyKey::of(&headers, admin.id, "POST /v1/products", &body)?;
    let work = catalogue.begin(admin.origin(&context), clock::now()).await?;
    respond_once(work, key, async |work, reply| {
        let product = catalogue.create(work, input).await?;
        let location = format!("{}/v1/products/{}", public_url.0, product.id);
        let headers = vec![
            (header::LOCATION, HeaderValue::from_str(&location).unwrap_or(HeaderValue::from_static("/"))),
            (header::ETAG, etag_of(&product)),
        ];
        reply.json(work, StatusCode::CREATED, headers, &product).await
    })
    .await
}
