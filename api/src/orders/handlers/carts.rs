//! Carts: what is put into one is reserved until it is ordered, taken out, or the cart expires.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use garde::Validate;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    database,
    http::{
        auth::Customer,
        body::Json,
        clock,
        context::RequestContext,
        path::{Id, ItemOf},
        problem::{Document as ProblemDocument, Problem},
        router::PublicUrl,
    },
    orders::{Orders, Units, carts::Cart},
};

/// Nothing is to be said of a new cart.
#[derive(Debug, Default, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCart {}

/// Make a cart
#[utoipa::path(post, path = "/v1/carts", tag = "carts", operation_id = "create_cart",
    request_body = Option<NewCart>,
    responses(
        (status = 201, body = Cart, headers(("Location" = String))),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json", description = "Not a customer"),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "The customer has as many carts as one can have"),
        (status = 413, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 415, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json"),
    ), security(("bearer" = [])))]
pub async fn create(
    State(orders): State<Arc<Orders>>,
    State(public_url): State<PublicUrl>,
    customer: Customer,
    _: Option<Json<Option<NewCart>>>,
) -> Result<Response, Problem> {
    let mut tx = database::begin_brief(&orders.catalogue.database.primary).await?;
    let cart = orders.create_cart(&mut tx, customer.id, clock::now()).await?;
    tx.commit().await?;
    let location = format!("{}/v1/carts/{}", public_url.0, cart.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], axum::Json(cart)).into_response())
}

/// Read a cart
///
/// Reading doesn't put off its expiry.
#[utoipa::path(get, path = "/v1/carts/{id}", tag = "carts", operation_id = "read_cart",
    params(("id" = Uuid, Path, description = "Cart id")),
    responses(
        (status = 200, body = Cart),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json", description = "Not a customer"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "There is no such cart of the customer's, or it has expired"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json"),
    ), security(("bearer" = [])))]
pub async fn read(State(orders): State<Arc<Orders>>, customer: Customer, Id(id): Id) -> Result<axum::Json<Cart>, Problem> {
    let mut conn = orders.catalogue.database.primary.acquire().await?;
    Ok(axum::Json(orders.read_cart(&mut conn, id, customer.id, clock::now()).await?))
}

/// Give a cart up
///
/// What it holds can be bought by others again.
#[utoipa::path(delete, path = "/v1/carts/{id}", tag = "carts", operation_id = "delete_cart",
    params(("id" = Uuid, Path, description = "Cart id")),
    responses(
        (status = 204, description = "Gone"),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json", description = "Not a customer"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "There is no such cart of the customer's, or it has expired"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json"),
    ), security(("bearer" = [])))]
pub async fn delete(
    State(orders): State<Arc<Orders>>,
    customer: Customer,
    context: RequestContext,
    Id(id): Id,
) -> Result<StatusCode, Problem> {
    let mut tx = database::begin_brief(&orders.catalogue.database.primary).await?;
    let forget = orders.give_up_cart(&mut tx, &customer.origin(&context), id, clock::now()).await?;
    tx.commit().await?;
    orders.catalogue.stock_turned(&forget);
    Ok(StatusCode::NO_CONTENT)
}

/// Put a product into a cart
///
/// In place of what is there of it, at the price of this moment, and reserved for the customer. Every change of a
/// cart puts off its expiry.
#[utoipa::path(put, path = "/v1/carts/{id}/items/{product_id}", tag = "carts", operation_id = "put_cart_item",
    params(("id" = Uuid, Path, description = "Cart id"), ("product_id" = Uuid, Path, description = "Product id")),
    request_body = Units,
    responses(
        (status = 200, body = Cart),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json", description = "Not a customer"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "There is no such cart of the customer's, it has expired, or there is no such product"),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "There is not enough of the product, or the cart is full"),
        (status = 413, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 415, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json"),
    ), security(("bearer" = [])))]
pub async fn put_item(
    State(orders): State<Arc<Orders>>,
    customer: Customer,
    context: RequestContext,
    item: ItemOf,
    Json(units): Json<Units>,
) -> Result<axum::Json<Cart>, Problem> {
    let mut tx = database::begin_brief(&orders.catalogue.database.primary).await?;
    let (cart, forget) = orders.put_item(&mut tx, &customer.origin(&context), (item.id, item.product_id), &units, clock::now()).await?;
    tx.commit().await?;
    orders.catalogue.stock_turned(&forget);
    Ok(axum::Json(cart))
}

/// Take a product out of a cart
///
/// One that isn't in it is none to take out: that is fine.
#[utoipa::path(delete, path = "/v1/carts/{id}/items/{product_id}", tag = "carts", operation_id = "delete_cart_item",
    params(("id" = Uuid, Path, description = "Cart id"), ("product_id" = Uuid, Path, description = "Product id")),
    responses(
        (status = 204, description = "It isn't in the cart any more"),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json", description = "Not a customer"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "There is no such cart of the customer's, or it has expired"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json"),
    ), security(("bearer" = [])))]
pub async fn delete_item(
    State(orders): State<Arc<Orders>>,
    customer: Customer,
    context: RequestContext,
    item: ItemOf,
) -> Result<StatusCode, Problem> {
    let mut tx = database::begin_brief(&orders.catalogue.database.primary).await?;
    let forget = orders.remove_item(&mut tx, &customer.origin(&context), (item.id, item.product_id), clock::now()).await?;
    tx.commit().await?;
    orders.catalogue.stock_turned(&forget);
    Ok(StatusCode::NO_CONTENT)
}
