//! Placing orders.

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
        auth::Customer,
        body::{JsonBytes, parse},
        clock,
        context::RequestContext,
        idempotency::{IdempotencyKey, StorableResponse},
        openapi::either::Either,
        problem::{Document as ProblemDocument, Problem},
        router::PublicUrl,
    },
    orders::{Error, NewOrder, Order, Orders, Wish, metrics},
};

/// How often an order is tried that meets a change of its products while it waits for their stock.
const TRIES: usize = 3;

/// In the document: of `items` or of a cart.
type EitherOrder = Either<NewOrder>;

/// Place an order
///
/// Of a cart or of items, at the shop's prices: everything or nothing. The same request sent again under its
/// `Idempotency-Key` gets the first answer again, with `Idempotent-Replayed: true`; send it again also after a 503,
/// which may only mean that one of the products was being changed.
#[utoipa::path(post, path = "/v1/orders", tag = "orders", operation_id = "place_order",
    request_body = EitherOrder,
    params(("Idempotency-Key" = String, Header, pattern = r#"^("[!#-~]{1,255}"|[!#-~]{1,255})$"#, description = "1 to 255 visible ASCII characters without quotes, all of it in quotes or not: a new one for every order. Makes retries safe for 24 hours")),
    responses(
        (status = 201, body = Order, headers(("Location" = String))),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json", description = "The body is no JSON, or there is no Idempotency-Key"),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json", description = "Not a customer"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "There is no such cart of the customer's, or it has expired"),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "There is not enough of some products (errors says of which, and what is left), the catalogue has changed since the cart was filled, the cart is empty, or the first request with this key is still running",
            headers(("Retry-After" = u64, description = "Seconds, while it is running"))),
        (status = 413, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 415, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json"),
    ), security(("bearer" = [])))]
pub async fn place(
    State(orders): State<Arc<Orders>>,
    State(public_url): State<PublicUrl>,
    customer: Customer,
    context: RequestContext,
    headers: HeaderMap,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let key = IdempotencyKey::required(&headers, customer.id, "POST /v1/orders", &body)?;
    let order: NewOrder = parse(&body, |order: &NewOrder| order.clone().check().map(drop))?;
    let wish = order.check().map_err(Error::Invalid)?;
    let origin = customer.origin(&context);
    for _ in 0..TRIES {
        if let Some(response) = attempt(&orders, &public_url, &origin, &key, &wish).await? {
            return Ok(response);
        }
    }
    Err(Error::Contended.into())
}

/// `None` if the catalogue has changed meanwhile: nothing is done then.
async fn attempt(
    orders: &Orders,
    public_url: &PublicUrl,
    origin: &Origin,
    key: &IdempotencyKey,
    wish: &Wish,
) -> Result<Option<Response>, Problem> {
    let now = clock::now();
    let mut tx = database::begin_brief(&orders.catalogue.database.primary).await?;
    if let Some(stored) = key.claim(&mut tx, now).await? {
        return Ok(Some(stored.into()));
    }
    let prepared = orders.prepare(&mut tx, origin, wish, now).await?;
    let location = format!("{}/v1/orders/{}", public_url.0, prepared.order.id);
    let location = HeaderValue::from_str(&location).unwrap_or(HeaderValue::from_static("/"));
    let response = StorableResponse::json(StatusCode::CREATED, vec![(header::LOCATION, location)], &prepared.order)?;
    key.store(&mut tx, &response, now).await?;
    let forget = match orders.take_stock(&mut tx, origin, &prepared, now).await {
        Err(Error::Contended) => {
            tx.rollback().await?;
            return Ok(None);
        }
        taken => taken?,
    };
    tx.commit().await?;
    metrics::PLACED.inc();
    orders.catalogue.stock_turned(&forget);
    Ok(Some(response.into()))
}
