//! Moving orders on: customers cancel theirs, admins move any.

use std::sync::Arc;

use axum::extract::State;
use garde::Validate;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    http::{
        auth::{Admin, Principal},
        body::{Json, MergePatch},
        clock,
        context::RequestContext,
        path::Id,
        problem::{Document as ProblemDocument, Problem},
    },
    orders::{Error, Order, Orders, Party, Status, Step, rules},
    text,
};

/// Why an order is called off.
#[derive(Debug, Default, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Cancellation {
    /// Reason, for the history.
    #[serde(default, deserialize_with = "text::normalized")]
    #[garde(inner(custom(rules::reason)))]
    #[schema(min_length = 1, max_length = 200, pattern = "line")]
    reason: Option<String>,
}

/// Where an order is to go.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderPatch {
    /// The next status: `pending` orders become `confirmed`, `confirmed` ones `fulfilled`, and both can become
    /// `cancelled` or `failed`, which gives their stock back.
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
/// While it is `pending` or `confirmed`. What it took goes back into stock, once: cancelling again changes nothing.
#[utoipa::path(post, path = "/v1/orders/{id}/cancel", tag = "orders", operation_id = "cancel_order",
    params(("id" = Uuid, Path, description = "Order id")),
    request_body = Option<Cancellation>,
    responses(
        (status = 200, body = Order),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "There is no such order, or it is another customer's"),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "It is fulfilled, or has failed"),
        (status = 413, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 415, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json"),
    ), security(("bearer" = [])))]
pub async fn cancel(
    State(orders): State<Arc<Orders>>,
    principal: Principal,
    context: RequestContext,
    Id(id): Id,
    body: Option<Json<Option<Cancellation>>>,
) -> Result<axum::Json<Order>, Problem> {
    let cancellation = body.and_then(|Json(body)| body).unwrap_or_default();
    cancellation.validate().map_err(Error::Invalid)?;
    let by = match principal {
        Principal::Customer(_) => Party::Customer,
        Principal::Admin(_) => Party::Admin,
    };
    let step = Step { to: Status::Cancelled, by, reason: cancellation.reason.as_deref(), fulfil_at: None };
    Ok(axum::Json(orders.advance(&principal.origin(&context), principal.own_id(), id, step, clock::now()).await?))
}

/// Move an order on
///
/// For admins. Orders only move forward; one that is there already stays as it is. An order that an admin confirms is
/// fulfilled when an admin says so.
#[utoipa::path(patch, path = "/v1/orders/{id}", tag = "orders", operation_id = "patch_order",
    params(("id" = Uuid, Path, description = "Order id")),
    request_body(content((OrderPatch = "application/merge-patch+json"), (OrderPatch = "application/json"))),
    responses(
        (status = 200, body = Order),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "It cannot go there from where it is"),
        (status = 413, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 415, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json"),
    ), security(("bearer" = [])))]
pub async fn patch(
    State(orders): State<Arc<Orders>>,
    admin: Admin,
    context: RequestContext,
    Id(id): Id,
    patch: MergePatch,
) -> Result<axum::Json<Order>, Problem> {
    let patch: OrderPatch = patch.read()?;
    patch.validate().map_err(Error::Invalid)?;
    let step = Step { to: patch.status, by: Party::Admin, reason: patch.reason.as_deref(), fulfil_at: None };
    Ok(axum::Json(orders.advance(&admin.origin(&context), None, id, step, clock::now()).await?))
}
