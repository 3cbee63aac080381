//! Handlers that change the status of orders. Customers cancel their own orders, admins change all.

use std::sync::Arc;

use axum::extract::State;
use catalog_values::text;
use garde::Validate;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    http::{
        body::{Json, MergePatch},
        clock,
        context::RequestContext,
        path::Id,
        problem::Problem,
    },
    identity::principal::{Admin, Principal},
    orders::{Error, Order, OrderActor, Orders, Status, Transition, rules},
};

/// Cancellation of an order.
#[derive(Debug, Default, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderCancellation {
    /// Reason, for the history.
    #[serde(default, deserialize_with = "text::normalized")]
    #[garde(inner(custom(rules::reason)))]
    #[schema(min_length = 1, max_length = 200, pattern = "line")]
    reason: Option<String>,
}

/// Requested status of an order.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderPatch {
    /// New status: `pending` orders become `confirmed`, `confirmed` orders `fulfilled`, and both can become `cancelled` or
    /// `failed`, which returns their stock.
    #[garde(skip)]
    status: Status,
    /// Reason, for the history and the customer.
    #[serde(default, deserialize_with = "text::normalized")]
    #[garde(inner(custom(rules::reason)))]
    #[schema(min_length = 1, max_length = 200, pattern = "line")]
    reason: Option<String>,
}

/// Cancel an order
///
/// Possible while it is `pending` or `confirmed`. Its stock is returned once; cancelling again changes nothing.
#[utoipa::path(post, path = "/v1/orders/{id}/cancel", tag = "orders",
    params(("id" = Uuid, Path, description = "Order id")),
    request_body = Option<OrderCancellation>,
    responses(
        (status = 200, body = Order),
        (status = 404, description = "The order does not exist or belongs to another customer"),
        (status = 409, description = "The order is fulfilled or has failed"),
    ), security(("bearer" = [])))]
pub async fn cancel_order(
    State(orders): State<Arc<Orders>>,
    principal: Principal,
    context: RequestContext,
    Id(id): Id,
    body: Option<Json<Option<OrderCancellation>>>,
) -> Result<axum::Json<Order>, Problem> {
    let cancellation = body.and_then(|Json(body)| body).unwrap_or_default();
    cancellation.validate().map_err(Error::Invalid)?;
    let by = match principal {
        Principal::Customer(_) => OrderActor::Customer,
        Principal::Admin(_) => OrderActor::Admin,
    };
    let transition = Transition { to: Status::Cancelled, by, reason: cancellation.reason.as_deref(), fulfil_at: None };
    Ok(axum::Json(orders.change_status(principal.origin(&context), principal.own_id(), id, transition, clock::now()).await?))
}

/// Change the status of an order
///
/// For admins. The status only moves forward; an order that already has it stays as it is. Orders that an admin
/// confirms are not fulfilled automatically.
#[utoipa::path(patch, path = "/v1/orders/{id}", tag = "orders",
    params(("id" = Uuid, Path, description = "Order id")),
    request_body(content = OrderPatch, content_type = "application/merge-patch+json"),
    responses(
        (status = 200, body = Order),
        (status = 409, description = "The order cannot change from its status to this one"),
    ), security(("bearer" = ["admin"])))]
pub async fn patch_order(
    State(orders): State<Arc<Orders>>,
    admin: Admin,
    context: RequestContext,
    Id(id): Id,
    patch: MergePatch,
) -> Result<axum::Json<Order>, Problem> {
    let patch: OrderPatch = patch.read()?;
    patch.validate().map_err(Error::Invalid)?;
    let transition = Transition { to: patch.status, by: OrderActor::Admin, reason: patch.reason.as_deref(), fulfil_at: None };
    Ok(axum::Json(orders.change_status(admin.origin(&context), None, id, transition, clock::now()).await?))
}
