//! Handler that lists products.

use std::sync::Arc;

use axum::{extract::State, http::Uri, response::Response};
use catalog_values::full_date;
use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    http::{
        page::{self, Limit, Page},
        problem::{FieldError, Problem},
        query::Query,
        read_limit::ReadAllowance,
    },
    identity::principal::OptionalPrincipal,
    products::{
        Catalogue,
        list::{self, Availability, Filter, ListedProduct, Position, Sort},
        rules::{self, Rules},
        search::{MIN_PHRASE, Phrase},
    },
};

/// Filters, sort order and page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// Maximum number of items per page. A page ends early once its items exceed 1 MiB; use `next_cursor` to find the last page.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200, default = 50)]
    limit: Option<Limit>,
    /// `next_cursor` of the previous page. Use it with the same sort order and filters.
    #[param(min_length = 1, max_length = 2048, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
    /// Sort order. Defaults to `created_at`.
    #[param(inline)]
    sort: Option<Sort>,
    /// Part of the name, in any case, with or without accents, in any Unicode normalisation. `%` and `_` are ordinary
    /// characters. At least three characters, not counting combining marks.
    #[param(min_length = 3, max_length = 200, pattern = "text")]
    contains: Option<String>,
    /// Only this brand.
    #[param(max_length = 100, pattern = "text")]
    brand: Option<String>,
    /// Only this category.
    #[param(max_length = 100, pattern = "text")]
    category: Option<String>,
    /// Minimum price, as a decimal number.
    #[param(example = "10.00", max_length = 24, pattern = r"^[0-9]+(\.[0-9]+)?$")]
    price_min: Option<String>,
    /// Maximum price, as a decimal number.
    #[param(example = "100.00", max_length = 24, pattern = r"^[0-9]+(\.[0-9]+)?$")]
    price_max: Option<String>,
    /// Only products released before this day.
    #[serde(default, deserialize_with = "full_date::optional")]
    #[param(pattern = "^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}$")]
    before: Option<NaiveDate>,
    /// Only products released after this day.
    #[serde(default, deserialize_with = "full_date::optional")]
    #[param(pattern = "^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}$")]
    after: Option<NaiveDate>,
    /// Only products that can be bought (`true`, the default), only sold-out ones (`false`), or `any`.
    #[param(inline)]
    in_stock: Option<Availability>,
}

/// A page, with its name in the document.
type ProductPage = Page<ListedProduct>;

/// List products
///
/// The products are in pages linked by cursors. A product whose sort key does not change while a client pages through the list appears
/// exactly once. A page may have fewer items than `limit`; only the last page has no `next_cursor`. Lists have database connections and a
/// timeout of their own: after a 503 `too-busy`, retry after `Retry-After` seconds; after a 503 `statement-timeout`, narrow the filters.
#[utoipa::path(get, path = "/v1/products", tag = "products",
    params(ListParams),
    responses(
        (status = 200, body = ProductPage),
        (status = 503, description = "Too many concurrent lists, a list that takes too long, or no database"),
    ), security((), ("bearer" = [])))]
pub async fn list_products(
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
    Ok(allowance.add_headers(Page { items, next_cursor: end.as_ref().map(page::encode_cursor) }.respond(&uri)))
}

/// Rejects filters that no product can match, by the rules of product fields.
fn check_filters(rules: &Rules, params: &ListParams) -> Result<(), Problem> {
    let text = |name, given: &Option<String>, check: fn(&str, &Rules) -> garde::Result| {
        given.as_ref().and_then(|text| invalid_parameter(name, check(text, rules)))
    };
    let day = |name, given: &Option<NaiveDate>| given.as_ref().and_then(|day| invalid_parameter(name, rules::date(day, rules)));
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

fn invalid_parameter(name: &str, checked: garde::Result) -> Option<FieldError> {
    checked.err().map(|error| FieldError::parameter(name, format!("{name}: {error}")))
}

fn phrase(text: &str) -> Result<Phrase, Problem> {
    Phrase::new(text).ok_or_else(|| {
        let detail = format!(
            "contains must have at least {MIN_PHRASE} characters, not counting combining marks; use brand or category for shorter texts"
        );
        Problem::bad_parameters(vec![FieldError::parameter("contains", detail)])
    })
}

fn price(name: &'static str, given: Option<String>) -> Result<Option<Decimal>, Problem> {
    given
        .map(|text| {
            rules::amount(&text).ok_or_else(|| {
                Problem::bad_parameters(vec![FieldError::parameter(name, format!("{name} must be a decimal number such as 19.90"))])
            })
        })
        .transpose()
}
