//! Listing products.

use std::sync::Arc;

use axum::{extract::State, http::Uri, response::Response};
use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    full_date,
    http::{
        auth::Visitor,
        page::{self, Limit, Page},
        problem::{Document as ProblemDocument, FieldError, Problem},
        query::Query,
    },
    products::{
        Catalogue,
        list::{self, Availability, Filter, ListedProduct, Position, Sort},
        rules::{self, Rules},
    },
};

/// Filters, order and page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// Items per page.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200, default = 50)]
    limit: Option<Limit>,
    /// `next_cursor` of the page before. Keep sort and filters while you walk.
    #[param(min_length = 1, max_length = 2048, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
    /// Order; `created_at` without it.
    #[param(inline)]
    sort: Option<Sort>,
    /// Substring of the name, in any case.
    #[param(max_length = 200, pattern = "text")]
    contains: Option<String>,
    /// Exactly this brand.
    #[param(max_length = 100, pattern = "text")]
    brand: Option<String>,
    /// In this category.
    #[param(max_length = 100, pattern = "text")]
    category: Option<String>,
    /// At least this price: a decimal number.
    #[param(example = "10.00", max_length = 24, pattern = r"^[0-9]+(\.[0-9]+)?$")]
    price_min: Option<String>,
    /// At most this price: a decimal number.
    #[param(example = "100.00", max_length = 24, pattern = r"^[0-9]+(\.[0-9]+)?$")]
    price_max: Option<String>,
    /// Released before this day.
    #[serde(default, deserialize_with = "full_date::optional")]
    #[param(pattern = "^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}$")]
    before: Option<NaiveDate>,
    /// Released after this day.
    #[serde(default, deserialize_with = "full_date::optional")]
    #[param(pattern = "^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}$")]
    after: Option<NaiveDate>,
    /// `true` hides what is sold out and is the default; `any` shows everything.
    #[param(inline)]
    in_stock: Option<Availability>,
}

/// List products
///
/// Pages are walked by cursor. A product whose sort key doesn't change meanwhile appears exactly once.
#[utoipa::path(get, path = "/v1/products", tag = "products", operation_id = "list_products",
    params(ListParams),
    responses(
        (status = 200, body = Page<ListedProduct>, headers(("Link" = String, description = "rel=\"next\", unless this is the last page"))),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json", description = "The token is not valid"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json"),
    ), security((), ("bearer" = [])))]
pub async fn list(
    State(catalogue): State<Arc<Catalogue>>,
    _: Visitor,
    uri: Uri,
    Query(params): Query<ListParams>,
) -> Result<Response, Problem> {
    let limit = params.limit.unwrap_or_default().get();
    let sort = params.sort.unwrap_or(Sort::CreatedAt);
    let after = params.cursor.as_deref().map(page::decode_cursor::<Position>).transpose()?;
    if after.as_ref().is_some_and(|position| !position.fits(sort)) {
        return Err(page::bad_cursor());
    }
    check_filters(&catalogue.rules(), &params)?;
    let filter = Filter {
        contains: params.contains,
        brand: params.brand,
        category: params.category,
        price_min: price("price_min", params.price_min)?,
        price_max: price("price_max", params.price_max)?,
        before: params.before,
        after: params.after,
        in_stock: params.in_stock.unwrap_or_default(),
    };
    let (items, end) = list::page(&catalogue.database.replica, catalogue.currency, &filter, sort, after, limit).await?;
    Ok(Page { items, next_cursor: end.as_ref().map(page::encode_cursor) }.respond(&uri))
}

/// The bounds of what products can have: nothing beyond them could match.
fn check_filters(rules: &Rules, params: &ListParams) -> Result<(), Problem> {
    let text = |name, given: &Option<String>, check: fn(&str, &Rules) -> garde::Result| {
        given.as_ref().and_then(|text| wrong(name, check(text, rules)))
    };
    let day = |name, given: &Option<NaiveDate>| given.as_ref().and_then(|day| wrong(name, rules::date(day, rules)));
    let wrong: Vec<_> = [
        text("contains", &params.contains, rules::text::<200>),
        text("brand", &params.brand, rules::text::<100>),
        text("category", &params.category, rules::text::<100>),
        day("before", &params.before),
        day("after", &params.after),
    ]
    .into_iter()
    .flatten()
    .collect();
    if wrong.is_empty() { Ok(()) } else { Err(Problem::bad_parameters(wrong)) }
}

fn wrong(name: &str, checked: garde::Result) -> Option<FieldError> {
    checked.err().map(|error| FieldError::parameter(name, format!("{name}: {error}")))
}

fn price(name: &'static str, given: Option<String>) -> Result<Option<Decimal>, Problem> {
    given
        .map(|text| {
            rules::amount(&text).ok_or_else(|| {
                Problem::bad_parameters(vec![FieldError::parameter(name, format!("{name} is a decimal number such as 19.90"))])
            })
        })
        .transpose()
}
