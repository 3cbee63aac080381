//! Handler of the order export.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::{
    http::{
        download::Download,
        ids,
        problem::Problem,
        query::{self, Query},
    },
    identity::principal::Admin,
    orders::{self, Filter, Order, Orders, Status, csv},
};

/// Orders per query.
const CHUNK: i64 = 200;

/// Filters of an export.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportParams {
    /// Only orders with this status.
    #[param(inline)]
    status: Option<Status>,
    /// Only orders of this customer.
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
}

/// Export orders
///
/// As CSV, one row per order line, newest order first. The number of orders is not limited.
#[utoipa::path(get, path = "/v1/orders/export", tag = "orders",
    params(ExportParams),
    responses((status = 200, content((String = "text/csv", example = "order_id,created_at,status,customer_id,product_id,sku,name,price,quantity,line_total,currency\n019aa3f0-5060-7e71-8c83-9e0f1a2b3c4d,2026-11-02T08:30:00.000000Z,confirmed,019aa3f0-2d3c-7b4e-9f50-6b7c8d9e0f1a,019aa3f0-1c2b-7a3d-8e4f-5a6b7c8d9e0f,BT-100,Bar table,265.00,2,530.00,EUR\n")))), security(("bearer" = ["admin"])))]
pub async fn export_orders(State(orders): State<Arc<Orders>>, _: Admin, Query(params): Query<ExportParams>) -> Result<Response, Problem> {
    let ExportParams { status, customer_id, from, to } = params;
    let filter = Filter { customer_id, status, from, to };
    let download = Download { file: "orders.csv", chunk: CHUNK, write: csv::write_rows, position: |order: &Order| order.id };
    let read = move |before| {
        let (orders, filter) = (orders.clone(), filter.clone());
        async move {
            let mut read = orders.catalogue.database.reports.begin().await?;
            Ok(orders::read_chunk(&mut read, orders.currency(), &filter, before, CHUNK).await?)
        }
    };
    download.respond(None, read).await
}
