//! Downloading orders.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::{
    http::{
        auth::Admin,
        download::Download,
        ids,
        problem::{Document as ProblemDocument, Problem},
        query::{self, Query},
    },
    orders::{self, Filter, Order, Orders, Status, csv},
};

/// Orders read at once.
const CHUNK: i64 = 200;

/// Which orders.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportParams {
    /// In this status.
    #[param(inline)]
    status: Option<Status>,
    /// Of this customer.
    #[serde(default, deserialize_with = "ids::optional")]
    customer_id: Option<Uuid>,
    /// Placed at this time or later (RFC 3339).
    #[serde(default, deserialize_with = "query::time")]
    #[param(value_type = Option<String>, format = DateTime, example = "2026-11-01T00:00:00Z")]
    from: Option<DateTime<Utc>>,
    /// Placed before this time (RFC 3339).
    #[serde(default, deserialize_with = "query::time")]
    #[param(value_type = Option<String>, format = DateTime, example = "2026-12-01T00:00:00Z")]
    to: Option<DateTime<Utc>>,
}

/// Export orders
///
/// As CSV, one row per line of an order, the latest order first. Any number of them, as fast as they are taken.
#[utoipa::path(get, path = "/v1/orders/export", tag = "orders", operation_id = "export_orders",
    params(ExportParams),
    responses(
        (status = 200, content((String = "text/csv"))),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json"),
    ), security(("bearer" = [])))]
pub async fn export(State(orders): State<Arc<Orders>>, _: Admin, Query(params): Query<ExportParams>) -> Result<Response, Problem> {
    let ExportParams { status, customer_id, from, to } = params;
    let filter = Filter { customer_id, status, from, to };
    let download = Download { file: "orders.csv", chunk: CHUNK, write: csv::rows, position: |order: &Order| order.id };
    let read = move |before| {
        let (orders, filter) = (orders.clone(), filter.clone());
        async move {
            let mut read = orders.catalogue.database.reports.begin().await?;
            Ok(orders::chunk(&mut read, orders.currency(), &filter, before, CHUNK).await?)
        }
    };
    download.respond(None, read).await
}
