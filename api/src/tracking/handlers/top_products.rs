//! Handler of the report of the most viewed products.

use std::sync::Arc;

use axum::{
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    http::{
        clock,
        format::{Format, csv_headers, varies},
        page::Limit,
        problem::Problem,
        query::Query,
    },
    identity::principal::Admin,
    tracking::{
        csv,
        reports::{self, Bound, Bucket, Reports, Span, TopProduct},
    },
};

/// Default of `limit`.
const DEFAULT_LIMIT: u16 = 10;

/// Query parameters of the report.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TopProductsParams {
    /// Start of the range: a day or an RFC 3339 time. Defaults to the last seven days. Widened to whole hours.
    #[param(value_type = Option<String>, example = "2026-11-01", pattern = r"^(?!9999)(19[7-9][0-9]|[2-9][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))?$")]
    from: Option<Bound>,
    /// End of the range: a time (exclusive) or a day (inclusive). Defaults to now. At most 366 days after `from`.
    #[param(value_type = Option<String>, example = "2026-11-07", pattern = r"^(?!9999)(19[7-9][0-9]|[2-9][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))?$")]
    to: Option<Bound>,
    /// IANA time zone of days in `from` and `to`.
    #[param(example = "Europe/Berlin", default = "UTC", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9+_/-]+$")]
    tz: Option<String>,
    /// Number of products.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200, default = 10)]
    limit: Option<Limit>,
    /// Format of the report. Takes precedence over `Accept`.
    #[param(inline)]
    format: Option<Format>,
}

/// The most viewed products in a range.
#[derive(Debug, Serialize, ToSchema)]
pub struct TopProducts {
    /// Start of the first hour.
    pub from: DateTime<Utc>,
    /// End of the last hour.
    pub to: DateTime<Utc>,
    /// Products, most viewed first.
    pub items: Vec<TopProduct>,
}

/// Report the most viewed products
#[utoipa::path(get, path = "/v1/reports/top-products", tag = "reports",
    params(TopProductsParams),
    responses((status = 200, content((TopProducts = "application/json"), (String = "text/csv", example = "product_id,sku,name,views\n019aa3f0-1c2b-7a3d-8e4f-5a6b7c8d9e0f,BT-100,Bar table,1204\n")), headers(("Vary" = String, description = "accept: caches keep JSON and CSV apart")))), security(("bearer" = ["admin"])))]
pub async fn report_top_products(
    State(reports): State<Arc<Reports>>,
    _: Admin,
    headers: HeaderMap,
    Query(params): Query<TopProductsParams>,
) -> Result<Response, Problem> {
    let limit = params.limit.map_or(DEFAULT_LIMIT, Limit::get);
    let zone = reports.validate_zone(params.tz).await?;
    let mut read = reports.database.reports.begin().await?;
    let range = Span::new(params.from, params.to, Bucket::Hour, clock::now()).widen(&mut read, Bucket::Hour, &zone).await?;
    let items = reports::read_top_products(&mut read, range, limit).await?;
    drop(read);
    match Format::choose(params.format, &headers) {
        Format::Json => Ok(varies(axum::Json(TopProducts { from: range.from, to: range.to, items }).into_response())),
        Format::Csv => {
            let bytes = csv::write_top_products(&items).map_err(|error| Problem::internal(&error))?;
            Ok(varies((csv_headers("top-products.csv"), bytes).into_response()))
        }
    }
}
