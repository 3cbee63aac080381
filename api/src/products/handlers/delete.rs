//! Handler that deletes products.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    http::{
        clock,
        context::RequestContext,
        etag::is_precondition_met,
        path::Id,
        problem::Problem,
        query::{self, Query},
    },
    identity::principal::Admin,
    products::Catalogue,
};

/// Query parameters of a deletion.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeleteParams {
    /// Purge the product, so that it cannot be restored.
    #[serde(default, deserialize_with = "query::flag")]
    purge: bool,
}

/// Delete a product
///
/// No read returns it any more, its sku is free, and it can be restored until it is purged.
#[utoipa::path(delete, path = "/v1/products/{id}", tag = "products",
    params(("id" = Uuid, Path, description = "Product id"), ("If-Match" = Option<String>, Header, nullable = false, pattern = "entity-tags", description = "Delete it only if it still has this entity tag"), ("If-None-Match" = Option<String>, Header, nullable = false, description = "Delete it only if it doesn't have this entity tag"), DeleteParams),
    responses((status = 204, description = "Deleted")), security(("bearer" = ["admin"])))]
pub async fn delete_product(
    State(catalogue): State<Arc<Catalogue>>,
    admin: Admin,
    context: RequestContext,
    Id(id): Id,
    Query(params): Query<DeleteParams>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let expected = |etag: &str| is_precondition_met(&headers, etag);
    let mut work = catalogue.begin(admin.origin(&context), clock::now()).await?;
    if params.purge {
        catalogue.purge(&mut work, id, expected).await?;
    } else {
        catalogue.delete(&mut work, id, expected).await?;
    }
    work.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
