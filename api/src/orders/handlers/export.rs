//! Downloading orders.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    extract::State,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use futures::{Stream, stream};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::{
    http::{
        auth::Admin,
        format::csv_headers,
        problem::{Document as ProblemDocument, Problem},
        query::{self, Query},
    },
    orders::{self, Filter, Orders, Status, csv},
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
    #[serde(default, deserialize_with = "query::id")]
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
    let mut rows = Box::pin(every_row(orders, Filter { customer_id, status, from, to }));
    // So that a database that is away is a problem document and not a file that breaks off.
    let first = futures::TryStreamExt::try_next(&mut rows).await.map_err(Problem::from)?;
    let body = futures::StreamExt::chain(stream::iter(first.map(Ok)), rows);
    Ok((csv_headers("attachment; filename=\"orders.csv\""), Body::from_stream(body)).into_response())
}

/// Why a download breaks off. The client sees that it is cut short.
#[derive(Debug, thiserror::Error)]
enum CutShort {
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    #[error("the rows could not be written")]
    Csv(#[from] ::csv::Error),
}

impl From<CutShort> for Problem {
    fn from(error: CutShort) -> Self {
        match error {
            CutShort::Database(error) => error.into(),
            CutShort::Csv(error) => Self::internal(&error),
        }
    }
}

/// All of them, read in chunks as the client takes them.
fn every_row(orders: Arc<Orders>, filter: Filter) -> impl Stream<Item = Result<Bytes, CutShort>> {
    stream::try_unfold((Some(None), true), move |(position, header)| {
        let (orders, filter) = (orders.clone(), filter.clone());
        async move {
            let Some(before) = position else { return Ok(None) };
            let chunk = async {
                let mut conn = orders.catalogue.database.replica.acquire().await?;
                orders::chunk(&mut conn, orders.currency(), &filter, before, CHUNK).await
            };
            let chunk = chunk.await.inspect_err(|error| tracing::warn!(%error, "an export of orders was cut short"))?;
            let full = i64::try_from(chunk.len()).is_ok_and(|length| length == CHUNK);
            let next = chunk.last().filter(|_| full).map(|last| Some(last.id));
            Ok(Some((csv::rows(&chunk, header)?.into(), (next, false))))
        }
    })
}
