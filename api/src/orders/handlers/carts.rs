//! Handlers of carts.

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
    http::{
        body::Json,
        clock,
        context::RequestContext,
        path::{Id, ItemOf},
        problem::Problem,
        public_url::PublicUrl,
    },
    identity::principal::Customer,
    orders::{CartItemInput, Orders, carts::Cart},
};

/// A new cart. It has no fields.
#[derive(Debug, Default, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CartInput {}

/// Create a cart
#[utoipa::path(post, path = "/v1/carts", tag = "carts",
    request_body = Option<CartInput>,
    responses(
        (status = 201, body = Cart, headers(("Location" = String))),
        (status = 409, description = "The customer has the maximum number of carts"),
    ), security(("bearer" = ["customer"])))]
pub async fn create_cart(
    State(orders): State<Arc<Orders>>,
    State(public_url): State<PublicUrl>,
    customer: Customer,
    context: RequestContext,
    _: Option<Json<Option<CartInput>>>,
) -> Result<Response, Problem> {
    let mut work = orders.begin(customer.origin(&context), clock::now()).await?;
    let cart = orders.create_cart(&mut work).await?;
    work.commit().await?;
    let location = format!("{}/v1/carts/{}", public_url.0, cart.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], axum::Json(cart)).into_response())
}

/// Read a cart
///
/// Reading does not extend its expiry.
#[utoipa::path(get, path = "/v1/carts/{id}", tag = "carts",
    params(("id" = Uuid, Path, description = "Cart id")),
    responses(
        (status = 200, body = Cart),
        (status = 404, description = "The customer has no such cart, or it has expired"),
    ), security(("bearer" = ["customer"])))]
pub async fn read_cart(State(orders): State<Arc<Orders>>, customer: Customer, Id(id): Id) -> Result<axum::Json<Cart>, Problem> {
    let mut conn = orders.catalogue.database.primary.acquire().await?;
    Ok(axum::Json(orders.read_cart(&mut conn, id, customer.id, clock::now()).await?))
}

/// Delete a cart
///
/// Releases its reservations.
#[utoipa::path(delete, path = "/v1/carts/{id}", tag = "carts",
    params(("id" = Uuid, Path, description = "Cart id")),
    responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "The customer has no such cart, or it has expired"),
    ), security(("bearer" = ["customer"])))]
pub async fn delete_cart(
    State(orders): State<Arc<Orders>>,
    customer: Customer,
    context: RequestContext,
    Id(id): Id,
) -> Result<StatusCode, Problem> {
    let mut work = orders.begin(customer.origin(&context), clock::now()).await?;
    orders.delete_cart(&mut work, id).await?;
    work.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Put a product into a cart
///
/// Sets the quantity of the product at its current price and reserves it for the customer. Every change of a cart extends
/// its expiry.
#[utoipa::path(put, path = "/v1/carts/{id}/items/{product_id}", tag = "carts",
    params(("id" = Uuid, Path, description = "Cart id"), ("product_id" = Uuid, Path, description = "Product id")),
    request_body = CartItemInput,
    responses(
        (status = 200, body = Cart),
        (status = 404, description = "The customer has no such cart, it has expired, or the product does not exist"),
        (status = 409, description = "The product has too little stock, or the cart is full"),
    ), security(("bearer" = ["customer"])))]
pub async fn put_cart_item(
    State(orders): State<Arc<Orders>>,
    customer: Customer,
    context: RequestContext,
    item: ItemOf,
    Json(units): Json<CartItemInput>,
) -> Result<axum::Json<Cart>, Problem> {
    let mut work = orders.begin(customer.origin(&context), clock::now()).await?;
    let cart = orders.put_item(&mut work, (item.id, item.product_id), &units).await?;
    work.commit().await?;
    Ok(axum::Json(cart))
}

/// Remove a product from a cart
///
/// Succeeds also if the product is not in the cart.
#[utoipa::path(delete, path = "/v1/carts/{id}/items/{product_id}", tag = "carts",
    params(("id" = Uuid, Path, description = "Cart id"), ("product_id" = Uuid, Path, description = "Product id")),
    responses(
        (status = 204, description = "The product is not in the cart"),
        (status = 404, description = "The customer has no such cart, or it has expired"),
    ), security(("bearer" = ["customer"])))]
pub async fn delete_cart_item(
    State(orders): State<Arc<Orders>>,
    customer: Customer,
    context: RequestContext,
    item: ItemOf,
) -> Result<StatusCode, Problem> {
    let mut work = orders.begin(customer.origin(&context), clock::now()).await?;
    orders.remove_item(&mut work, (item.id, item.product_id)).await?;
    work.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
