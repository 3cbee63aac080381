//! Single reads. An anonymous 200 or 304 to GET is one view.

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
        auth::OptionalPrincipal,
        etag::is_not_modified,
        path::{Id, Sku},
        problem::{Document as ProblemDocument, Problem},
        read_limit::ReadAllowance,
    },
    products::{Catalogue, Product, cache::Rendered},
    tracking::Views,
};

/// Read a product
///
/// An anonymous read is counted as one view, a conditional one that finds nothing new included.
#[utoipa::path(get, path = "/v1/products/{id}", tag = "products", operation_id = "read_product",
    params(("id" = Uuid, Path, description = "Product id"), ("If-None-Match" = Option<String>, Header, nullable = false, description = "Entity tag of the copy at hand")),
    responses(
        (status = 200, body = Product, headers(("ETag" = String, description = "Names the version and whether it is in stock"))),
        (status = 304, description = "The copy at hand is current"),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json", description = "The token is not valid"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, body = ProblemDocument, content_type = "application/problem+json", description = "Too many anonymous reads of this client",
            headers(("Retry-After" = u64, description = "Seconds"))),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json"),
    ), security((), ("bearer" = [])))]
pub async fn read(
    State(catalogue): State<Arc<Catalogue>>,
    State(views): State<Views>,
    allowance: ReadAllowance,
    principal: OptionalPrincipal,
    Id(id): Id,
    request: Request,
) -> Result<Response, Problem> {
    let rendered = catalogue.read(id).await?;
    Ok(allowance.describe(answer(&request, principal, &views, id, &rendered)))
}

/// Read a product by its sku
///
/// Counts views as reading by id does.
#[utoipa::path(get, path = "/v1/products/by-sku/{sku}", tag = "products", operation_id = "read_product_by_sku",
    params(("sku" = String, Path, description = "Stock keeping unit"), ("If-None-Match" = Option<String>, Header, nullable = false, description = "Entity tag of the copy at hand")),
    responses(
        (status = 200, body = Product, headers(("ETag" = String, description = "Names the version and whether it is in stock"))),
        (status = 304, description = "The copy at hand is current"),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json", description = "The token is not valid"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, body = ProblemDocument, content_type = "application/problem+json", description = "Too many anonymous reads of this client",
            headers(("Retry-After" = u64, description = "Seconds"))),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json"),
    ), security((), ("bearer" = [])))]
pub async fn read_by_sku(
    State(catalogue): State<Arc<Catalogue>>,
    State(views): State<Views>,
    allowance: ReadAllowance,
    principal: OptionalPrincipal,
    Sku(sku): Sku,
    request: Request,
) -> Result<Response, Problem> {
    let (id, rendered) = catalogue.read_by_sku(&sku).await?;
    Ok(allowance.describe(answer(&request, principal, &views, id, &rendered)))
}

fn answer(request: &Request, principal: OptionalPrincipal, views: &Views, id: Uuid, rendered: &Rendered) -> Response {
    if principal == OptionalPrincipal::Anonymous && request.method() == Method::GET {
        views.count(id);
    }
    let unchanged = is_not_modified(request.headers(), rendered.etag.as_bytes());
    let mut response = if unchanged { Response::new(Body::empty()) } else { Response::new(Body::from(rendered.body.clone())) };
    let headers = response.headers_mut();
    // With room for the ids of the request, which come last.
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
