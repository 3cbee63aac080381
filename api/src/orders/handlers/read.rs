//! Handlers that read orders. Customers see their own orders, admins see all.

use std::sync::Arc;

use axum::{extract::State, http::Uri, response::Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use uuid::Uuid;

use crate::{
    http::{
        ids,
        page::{self, Limit, Page},
        path::Id,
        problem::{FieldError, Problem},
        query::{self, Query},
    },
    identity::principal::Principal,
    orders::{self, Filter, Order, Orders, Status},
};

/// Filters and page of a list of orders.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// Only orders with this status.
    #[param(inline)]
    status: Option<Status>,
    /// Only orders of this customer. For admins.
    #[serde(default, deserialize_with = "ids::optional")]
    customer_id: Option<Uuid>,
    /// Only orders placed at this time or later (RFC 3339).
    #[serde(default, deserialize_with = "query::time")]
    #[param(value_type = Option<String>, format = DateTime, example = "2026-11-01T00:00:00Z")]
    from: Option<DateTime<Utc>>,
    /// Only orders placed before this time (RFC 3339).
    #[serde(default, deserialize_with = "query::time")]
    #[param(value_type = Option<String>, format = DateTime, example = "2026-12-01T00:00:00Z")]
    to: Option<DateTime<Utc>>,
    /// Items per page.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200, default = 50)]
    limit: Option<Limit>,
    /// `next_cursor` of the previous page. Use it with the same filters.
    #[param(min_length = 1, max_length = 2048, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
}

/// Position of the last order of a page.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Position {
    order: Uuid,
}

/// A page, with its name in the document.
type OrderPage = Page<Order>;

/// List orders
///
/// Newest first. Customers see their own orders, admins see all.
#[utoipa::path(get, path = "/v1/orders", tag = "orders",
    params(ListParams),
    responses((status = 200, body = OrderPage)), security(("bearer" = [])))]
pub async fn list_orders(
    State(orders): State<Arc<Orders>>,
    principal: Principal,
    uri: Uri,
    Query(params): Query<ListParams>,
) -> Result<Response, Problem> {
    let limit = params.limit.unwrap_or_default().get();
    let before = params.cursor.as_deref().map(page::decode_cursor::<Position>).transpose()?;
    let customer_id = match (&principal, params.customer_id) {
        (Principal::Admin(_), any) => any,
        (Principal::Customer(own), None) => Some(own.id),
        (Principal::Customer(_), Some(_)) => {
            let detail = "customer_id is only for admins; omit it to list your own orders";
            return Err(Problem::bad_parameters(vec![FieldError::parameter("customer_id", detail)]));
        }
    };
    let filter = Filter { customer_id, status: params.status, from: params.from, to: params.to };
    let mut conn = orders.catalogue.database.primary.acquire().await?;
    let (items, next) = orders::list_orders(&mut conn, orders.currency(), &filter, before.map(|position| position.order), limit).await?;
    Ok(Page { items, next_cursor: next.map(|order| page::encode_cursor(&Position { order })) }.respond(&uri))
}

/// Read an order
///
/// Customers can read their own orders, admins all.
#[utoipa::path(get, path = "/v1/orders/{id}", tag = "orders",
    params(("id" = Uuid, Path, description = "Order id")),
    responses(
        (status = 200, body = Order),
        (status = 404, description = "The order does not exist or belongs to another customer"),
    ), security(("bearer" = [])))]
pub async fn read_order(State(orders): State<Arc<Orders>>, principal: Principal, Id(id): Id) -> Result<axum::Json<Order>, Problem> {
    let mut conn = orders.catalogue.database.primary.acquire().await?;
    Ok(axum::Json(orders::find_order(&mut conn, orders.currency(), id, principal.own_id()).await?))
}
