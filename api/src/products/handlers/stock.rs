//! Handlers of stock: current quantity, adjustments and movements.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use garde::Validate;
use serde::{Deserialize, Serialize};

use crate::{
    http::{
        body::{JsonBytes, parse},
        clock,
        context::RequestContext,
        idempotency::{IdempotencyKey, respond_once},
        openapi::either::Either,
        page::{self, Page, PageParams},
        path::Id,
        problem::Problem,
        query::Query,
        read_limit::ReadAllowance,
    },
    identity::principal::{Admin, OptionalPrincipal},
    products::{
        Catalogue,
        adjust_stock::{StockAdjustment, StockLevel},
        stock::{self, Stock, StockMovement},
    },
};

/// Documents the body as one of two schemas: with `delta` or with `quantity`.
type EitherAdjustment = Either<StockAdjustment>;

/// Read a product's stock
#[utoipa::path(get, path = "/v1/products/{id}/stock", tag = "products",
    params(("id" = Uuid, Path, description = "Product id")),
    responses((status = 200, body = Stock)), security((), ("bearer" = [])))]
pub async fn read_product_stock(
    State(catalogue): State<Arc<Catalogue>>,
    allowance: ReadAllowance,
    _: OptionalPrincipal,
    Id(id): Id,
) -> Result<Response, Problem> {
    let _permit = catalogue.database.lookups.acquire().await?;
    let stock: Stock = stock::read_stock(&catalogue.database.primary, id, clock::now()).await?;
    Ok(allowance.add_headers(axum::Json(stock).into_response()))
}

/// Adjust a product's stock
///
/// By `delta` to add or remove units, or to a counted `quantity`. Reserved units stay reserved. The reason is recorded in
/// the ledger. A request repeated with the same `Idempotency-Key` changes nothing.
#[utoipa::path(post, path = "/v1/products/{id}/stock-adjustments", tag = "products",
    params(("id" = Uuid, Path, description = "Product id"), ("Idempotency-Key" = Option<String>, Header, nullable = false, pattern = "idempotency-key", description = "Makes retries safe for 24 hours")),
    request_body = EitherAdjustment,
    responses(
        (status = 200, body = StockLevel),
        (status = 409, description = "The delta exceeds the units that can be sold, the stock is not tracked, or the first request with this key is still in progress"),
    ), security(("bearer" = ["admin"])))]
pub async fn adjust_product_stock(
    State(catalogue): State<Arc<Catalogue>>,
    admin: Admin,
    context: RequestContext,
    Id(id): Id,
    headers: HeaderMap,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let adjustment: StockAdjustment = parse(&body, |adjustment: &StockAdjustment| adjustment.validate_with(&catalogue.rules()))?;
    let key = IdempotencyKey::of(&headers, admin.id, "POST /v1/products/{id}/stock-adjustments", &[id.as_bytes(), &*body].concat())?;
    let work = catalogue.begin_brief(admin.origin(&context), clock::now()).await?;
    respond_once(work, key, async |work, reply| {
        let level = catalogue.adjust_stock(work, id, &adjustment).await?;
        reply.json(work, StatusCode::OK, Vec::new(), &level).await
    })
    .await
}

/// Position of the last movement of a page.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Position {
    movement: i64,
}

/// A page, with its name in the document.
type StockMovementPage = Page<StockMovement>;

/// List the movements of a product's stock
///
/// Newest first. Their deltas sum up to the units on hand.
#[utoipa::path(get, path = "/v1/products/{id}/stock-movements", tag = "products",
    params(("id" = Uuid, Path, description = "Product id"), PageParams),
    responses((status = 200, body = StockMovementPage)), security(("bearer" = ["admin"])))]
pub async fn list_product_stock_movements(
    State(catalogue): State<Arc<Catalogue>>,
    _: Admin,
    Id(id): Id,
    uri: Uri,
    Query(params): Query<PageParams>,
) -> Result<Response, Problem> {
    let limit = params.limit.unwrap_or_default().get();
    let before = params.cursor.as_deref().map(page::decode_cursor::<Position>).transpose()?;
    let (items, next) = stock::list_movements(&catalogue.database.primary, id, before.map(|position| position.movement), limit).await?;
    Ok(Page { items, next_cursor: next.map(|movement| page::encode_cursor(&Position { movement })) }.respond(&uri))
}
