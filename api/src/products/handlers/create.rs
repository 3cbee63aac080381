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
        idempotency::{IdempotencyKey, StorableResponse},
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
    params(("Idempotency-Key" = Option<String>, Header, nullable = false, pattern = r#"^("[!#-~]{1,255}"|[!#-~]{1,255})$"#, description = "1 to 255 visible ASCII characters except quotes, optionally in quotes. Makes retries safe for 24 hours")),
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
    let now = clock::now();
    let origin = admin.origin(&context);
    let mut tx = catalogue.database.primary.begin().await?;
    if let Some(key) = &key
        && let Some(stored) = key.claim(&mut tx, now).await?
    {
        return Ok(stored.into());
    }
    let product = catalogue.command(&origin, now).create(&mut tx, input).await?;
    let location = format!("{}/v1/products/{}", public_url.0, product.id);
    let headers = vec![
        (header::LOCATION, HeaderValue::from_str(&location).unwrap_or(HeaderValue::from_static("/"))),
        (header::ETAG, etag_of(&product)),
    ];
    let response = StorableResponse::json(StatusCode::CREATED, headers, &product)?;
    if let Some(key) = &key {
        key.store(&mut tx, &response, now).await?;
    }
    tx.commit().await?;
    catalogue.invalidate_product(product.id, product.version);
    Ok(response.into())
}
