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
        auth::OptionalPrincipal,
        page::{self, Limit, Page},
        problem::{Document as ProblemDocument, FieldError, Problem},
        query::Query,
        read_limit::ReadAllowance,
    },
    products::{
        Catalogue,
        list::{self, Availability, Filter, ListedProduct, Position, Sort},
        rules::{self, Rules},
        search::{MIN_PHRASE, Phrase},
    },
};

/// Filters, order and page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// Items per page, at most. A page ends early once its items exceed 1 MiB: go by `next_cursor`, not by their number.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200, default = 50)]
    limit: Option<Limit>,
    /// `next_cursor` of the page before. Keep sort and filters while you walk.
    #[param(min_length = 1, max_length = 2048, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
    /// Order; `created_at` without it.
    #[param(inline)]
    sort: Option<Sort>,
    /// Part of the name: letters of any case, with or without accents, in any Unicode normalisation; `%` and `_` are
    /// characters as any others. At least three characters without combining marks.
    #[param(min_length = 3, max_length = 200, pattern = "text")]
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
/// Pages are walked by cursor. A product whose sort key doesn't change meanwhile appears exactly once. A page may have fewer
/// items than `limit`: the last one is the one whose `next_cursor` is null. Lists have database connections and a time limit
/// of their own: 503 `too-busy` asks to retry after `Retry-After` seconds, 503 `statement-timeout` to narrow the request.
#[utoipa::path(get, path = "/v1/products", tag = "products", operation_id = "list_products",
    params(ListParams),
    responses(
        (status = 200, body = Page<ListedProduct>, headers(("Link" = String, description = "rel=\"next\", unless this is the last page"))),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json", description = "The token is not valid"),
        (status = 429, body = ProblemDocument, content_type = "application/problem+json", description = "Too many anonymous reads of this client",
            headers(("Retry-After" = u64, description = "Seconds"))),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "Too many lists at once, a list that takes too long, or no database",
            headers(("Retry-After" = u64, description = "Seconds"))),
    ), security((), ("bearer" = [])))]
pub async fn list(
    State(catalogue): State<Arc<Catalogue>>,
    allowance: ReadAllowance,
    _: OptionalPrincipal,
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
        contains: params.contains.as_deref().map(phrase).transpose()?,
        brand: params.brand,
        category: params.category,
        price_min: price("price_min", params.price_min)?,
        price_max: price("price_max", params.price_max)?,
        before: params.before,
        after: params.after,
        in_stock: params.in_stock.unwrap_or_default(),
    };
    let mut read = catalogue.database.lists.begin().await?;
    let (items, end) = list::page(&mut read, catalogue.currency, &filter, sort, after, limit).await?;
    drop(read);
    Ok(allowance.describe(Page { items, next_cursor: end.as_ref().map(page::encode_cursor) }.respond(&uri)))
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

fn phrase(text: &str) -> Result<Phrase, Problem> {
    Phrase::new(text).ok_or_else(|| {
        let detail =
            format!("contains has at least {MIN_PHRASE} characters, not counting combining marks; use brand or category for shorter ones");
        Problem::bad_parameters(vec![FieldError::parameter("contains", detail)])
    })
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
