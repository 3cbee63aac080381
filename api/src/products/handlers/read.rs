//! Handlers that read single products. Each anonymous GET answered with 200 or 304 counts as one view.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    response::Response,
};
use uuid::Uuid;

use crate::{
    http::{
        etag::is_not_modified,
        path::{Id, Sku},
        problem::Problem,
        read_limit::ReadAllowance,
    },
    identity::principal::OptionalPrincipal,
    products::{Catalogue, Product, cache::Rendered},
    views::Views,
};

/// Read a product
///
/// An anonymous read counts as one view, also if it is answered with 304.
#[utoipa::path(get, path = "/v1/products/{id}", tag = "products",
    params(("id" = Uuid, Path, description = "Product id"), ("If-None-Match" = Option<String>, Header, nullable = false, description = "Entity tag of the client's copy")),
    responses(
        (status = 200, body = Product, headers(("ETag" = String, description = "Identifies the version and the availability"))),
        (status = 304, description = "The client's copy is current"),
    ), security((), ("bearer" = [])))]
pub async fn read_product(
    State(catalogue): State<Arc<Catalogue>>,
    State(views): State<Views>,
    allowance: ReadAllowance,
    principal: OptionalPrincipal,
    Id(id): Id,
    request: Request,
) -> Result<Response, Problem> {
    let rendered = catalogue.read(id).await?;
    Ok(allowance.add_headers(respond(&request, principal, &views, id, &rendered)))
}

/// Read a product by its sku
///
/// Counts as a view like a read by id.
#[utoipa::path(get, path = "/v1/products/by-sku/{sku}", tag = "products",
    params(("sku" = String, Path, description = "Stock keeping unit"), ("If-None-Match" = Option<String>, Header, nullable = false, description = "Entity tag of the client's copy")),
    responses(
        (status = 200, body = Product, headers(("ETag" = String, description = "Identifies the version and the availability"))),
        (status = 304, description = "The client's copy is current"),
    ), security((), ("bearer" = [])))]
pub async fn read_product_by_sku(
    State(catalogue): State<Arc<Catalogue>>,
    State(views): State<Views>,
    allowance: ReadAllowance,
    principal: OptionalPrincipal,
    Sku(sku): Sku,
    request: Request,
) -> Result<Response, Problem> {
    let (id, rendered) = catalogue.read_by_sku(&sku).await?;
    Ok(allowance.add_headers(respond(&request, principal, &views, id, &rendered)))
}

fn respond(request: &Request, principal: OptionalPrincipal, views: &Views, id: Uuid, rendered: &Rendered) -> Response {
    if principal == OptionalPrincipal::Anonymous && request.method() == Method::GET {
        views.count(id);
    }
    let unchanged = is_not_modified(request.headers(), rendered.etag.as_bytes());
    let mut response = if unchanged { Response::new(Body::empty()) } else { Response::new(Body::from(rendered.body.clone())) };
    let headers = response.headers_mut();
    // Capacity for the id headers that are added last.
    headers.reserve(8);
    headers.insert(header::ETAG, rendered.etag.clone());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    response
}
