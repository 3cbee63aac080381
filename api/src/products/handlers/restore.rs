//! Handler that restores deleted products.

use std::sync::Arc;

use axum::{extract::State, response::Response};

use super::with_etag;
use crate::{
    http::{clock, context::RequestContext, path::Id, problem::Problem},
    identity::principal::Admin,
    products::{Catalogue, Product},
};

/// Restore a deleted product
#[utoipa::path(post, path = "/v1/products/{id}/restore", tag = "products",
    params(("id" = Uuid, Path, description = "Product id")),
    responses(
        (status = 200, body = Product, headers(("ETag" = String)), description = "Restored, or never deleted"),
        (status = 404, description = "The product does not exist or was purged"),
        (status = 409, description = "Another product has its sku by now"),
    ), security(("bearer" = ["admin"])))]
pub async fn restore_product(
    State(catalogue): State<Arc<Catalogue>>,
    admin: Admin,
    context: RequestContext,
    Id(id): Id,
) -> Result<Response, Problem> {
    let mut work = catalogue.begin(admin.origin(&context), clock::now()).await?;
    let product = catalogue.restore(&mut work, id).await?;
    work.commit().await?;
    Ok(with_etag(&product))
}
