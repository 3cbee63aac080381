//! Handler of the report of views by product and hour or day.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, Uri},
    response::Response,
};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::{
    database::ReadError,
    http::{
        clock,
        download::Download,
        format::{Format, varies},
        ids,
        page::{self, Limit, Page},
        problem::Problem,
        query::Query,
    },
    identity::principal::Admin,
    tracking::{
        csv,
        reports::{self, Bound, Bucket, BucketViews, Position, Reports, Selection, Span},
    },
};

/// Rows per query of a CSV download.
const CHUNK: i64 = 5000;

/// Query parameters of the report.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ViewsParams {
    /// Start of the range: a day or an RFC 3339 time. Defaults to the last seven days. Widened to whole buckets.
    #[param(value_type = Option<String>, example = "2026-11-01", pattern = r"^(?!9999)(19[7-9][0-9]|[2-9][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))?$")]
    from: Option<Bound>,
    /// End of the range: a time (exclusive) or a day (inclusive). Defaults to now. At most 366 days after `from`.
    #[param(value_type = Option<String>, example = "2026-11-07", pattern = r"^(?!9999)(19[7-9][0-9]|[2-9][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))?$")]
    to: Option<Bound>,
    /// Time over which views are added up. Defaults to `day`.
    #[param(inline)]
    bucket: Option<Bucket>,
    /// Only this product.
    #[serde(default, deserialize_with = "ids::optional")]
    product_id: Option<Uuid>,
    /// IANA time zone of days. Hours are those of UTC and belong to the day in which they start.
    #[param(example = "Europe/Berlin", default = "UTC", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9+_/-]+$")]
    tz: Option<String>,
    /// Format of the report. Takes precedence over `Accept`. CSV contains all rows; it ignores `limit`.
    #[param(inline)]
    format: Option<Format>,
    /// Items per page.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200, default = 50)]
    limit: Option<Limit>,
    /// `next_cursor` of the previous page. Use it with the same parameters.
    #[param(min_length = 1, max_length = 2048, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
}

/// A page, with its name in the document.
type BucketViewsPage = Page<BucketViews>;

/// Report views by product and hour or day
///
/// Ordered by time. Products without views in a bucket are omitted.
#[utoipa::path(get, path = "/v1/reports/views", tag = "reports",
    params(ViewsParams),
    responses(
        (status = 200, content((BucketViewsPage = "application/json"), (String = "text/csv", example = "product_id,start,views\n019aa3f0-1c2b-7a3d-8e4f-5a6b7c8d9e0f,2026-11-02T00:00:00Z,12\n")),
            headers(
                ("Vary" = String, description = "accept: caches keep JSON and CSV apart"),
            )),
    ), security(("bearer" = ["admin"])))]
pub async fn report_views(
    State(reports): State<Arc<Reports>>,
    _: Admin,
    uri: Uri,
    headers: HeaderMap,
    Query(params): Query<ViewsParams>,
) -> Result<Response, Problem> {
    let limit = params.limit.unwrap_or_default().get();
    let after = params.cursor.as_deref().map(page::decode_cursor::<Position>).transpose()?;
    let bucket = params.bucket.unwrap_or_default();
    let zone = reports.validate_zone(params.tz).await?;
    let span = Span::new(params.from, params.to, bucket, clock::now());
    let range = span.widen(&mut *reports.database.reports.begin().await?, bucket, &zone).await?;
    let selection = Selection { range, bucket, zone, product_id: params.product_id };
    match Format::choose(params.format, &headers) {
        Format::Json => Ok(varies(read_page(&reports, &selection, after, limit).await?.respond(&uri))),
        Format::Csv => {
            let download =
                Download { file: "views.csv", chunk: CHUNK, write: csv::write_views, position: |row: &BucketViews| Position::from(row) };
            let read = move |after| {
                let (reports, selection) = (reports.clone(), selection.clone());
                async move { Ok(reports::read_views(&mut *reports.database.reports.begin().await?, &selection, after, CHUNK).await?) }
            };
            download.respond(after, read).await.map(varies)
        }
    }
}

async fn read_page(reports: &Reports, selection: &Selection, after: Option<Position>, limit: u16) -> Result<Page<BucketViews>, ReadError> {
    let mut items = reports::read_views(&mut *reports.database.reports.begin().await?, selection, after, i64::from(limit) + 1).await?;
    let more = items.len() > usize::from(limit);
    items.truncate(usize::from(limit));
    let next_cursor = items.last().filter(|_| more).map(|last| page::encode_cursor(&Position::from(last)));
    Ok(Page { items, next_cursor })
}
