//! Handler that places orders.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};

use crate::{
    http::{
        body::{JsonBytes, parse},
        clock,
        context::RequestContext,
        idempotency::{IdempotencyKey, respond_once},
        openapi::either::Either,
        problem::Problem,
        public_url::PublicUrl,
    },
    identity::principal::Customer,
    orders::{Error, Order, OrderInput, Orders},
};

/// Attempts per request, if products change while the order waits for their stock.
const MAX_ATTEMPTS: usize = 3;

/// Documents the body as one of two schemas: with `items` or with `cart_id`.
type EitherOrder = Either<OrderInput>;

/// Place an order
///
/// From a cart or from items, at the catalogue's prices: all items or none. A request repeated with the same
/// `Idempotency-Key` returns the first response again, with `Idempotent-Replayed: true`. Also retry after a 503, which
/// can mean that one of the products was being changed.
#[utoipa::path(post, path = "/v1/orders", tag = "orders",
    request_body = EitherOrder,
    params(("Idempotency-Key" = String, Header, pattern = "idempotency-key", description = "Use a new key for every order. Makes retries safe for 24 hours")),
    responses(
        (status = 201, body = Order, headers(("Location" = String))),
        (status = 400, description = "The body is not JSON, or Idempotency-Key is missing"),
        (status = 404, description = "The customer has no such cart, or it has expired"),
        (status = 409, description = "Some products have too little stock (errors lists them with the available units), the catalogue has changed since the cart was filled, the cart is empty, or the first request with this key is still in progress"),
    ), security(("bearer" = ["customer"])))]
pub async fn place_order(
    State(orders): State<Arc<Orders>>,
    State(public_url): State<PublicUrl>,
    customer: Customer,
    context: RequestContext,
    headers: HeaderMap,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let key = IdempotencyKey::required(&headers, customer.id, "POST /v1/orders", &body)?;
    let order: OrderInput = parse(&body, |order: &OrderInput| order.clone().into_source().map(drop))?;
    let source = order.into_source().map_err(Error::Invalid)?;
    let mut tries = 1..MAX_ATTEMPTS;
    loop {
        let work = orders.begin(customer.origin(&context), clock::now()).await?;
        let placed = respond_once(work, Some(key.clone()), async |work, reply| {
            let prepared = orders.prepare_order(work, &source).await?;
            let location = format!("{}/v1/orders/{}", public_url.0, prepared.order.id);
            let location = HeaderValue::from_str(&location).unwrap_or(HeaderValue::from_static("/"));
            let replied = reply.json(work, StatusCode::CREATED, vec![(header::LOCATION, location)], &prepared.order).await?;
            prepared.deduct_stock(work).await?;
            Ok(replied)
        });
        match placed.await {
            Err(problem) if problem.is_retryable() && tries.next().is_some() => {}
            responded => return responded,
        }
    }
}
