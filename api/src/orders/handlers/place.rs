//! Handler that places orders.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};

use crate::{
    database,
    events::Origin,
    http::{
        body::{JsonBytes, parse},
        clock,
        context::RequestContext,
        idempotency::{IdempotencyKey, StorableResponse},
        openapi::either::Either,
        problem::Problem,
        public_url::PublicUrl,
    },
    identity::principal::Customer,
    orders::{Error, Order, OrderInput, OrderSource, Orders, metrics},
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
    params(("Idempotency-Key" = String, Header, pattern = r#"^("[!#-~]{1,255}"|[!#-~]{1,255})$"#, description = "1 to 255 visible ASCII characters except quotes, optionally in quotes. Use a new key for every order. Makes retries safe for 24 hours")),
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
    let origin = customer.origin(&context);
    for _ in 0..MAX_ATTEMPTS {
        if let Some(response) = try_place_order(&orders, &public_url, &origin, &key, &source).await? {
            return Ok(response);
        }
    }
    Err(Error::Contended.into())
}

/// Places the order in one transaction; `None` if the catalogue changed meanwhile and nothing was done.
async fn try_place_order(
    orders: &Orders,
    public_url: &PublicUrl,
    origin: &Origin,
    key: &IdempotencyKey,
    source: &OrderSource,
) -> Result<Option<Response>, Problem> {
    let now = clock::now();
    let mut tx = database::begin_brief(&orders.catalogue.database.primary).await?;
    if let Some(stored) = key.claim(&mut tx, now).await? {
        return Ok(Some(stored.into()));
    }
    let prepared = orders.prepare_order(&mut tx, origin, source, now).await?;
    let location = format!("{}/v1/orders/{}", public_url.0, prepared.order.id);
    let location = HeaderValue::from_str(&location).unwrap_or(HeaderValue::from_static("/"));
    let response = StorableResponse::json(StatusCode::CREATED, vec![(header::LOCATION, location)], &prepared.order)?;
    key.store(&mut tx, &response, now).await?;
    let stale = match orders.deduct_stock(&mut tx, origin, &prepared, now).await {
        Err(Error::Contended) => {
            tx.rollback().await?;
            return Ok(None);
        }
        result => result?,
    };
    tx.commit().await?;
    metrics::ORDERS_PLACED.inc();
    orders.catalogue.invalidate_products(&stale);
    Ok(Some(response.into()))
}
