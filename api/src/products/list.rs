//! Lists of products: filters, sort orders and keyset pages.
//!
//! Every page costs as much as the first, because it starts at an index position and not at an offset. A product whose sort key does not
//! change while a client pages through the list appears exactly once, because products with the same sort key are ordered by id.

use catalog_values::Currency;
use chrono::{DateTime, Datelike, NaiveDate, Utc};
use futures::TryStreamExt;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Product, search::Phrase, store::ProductRow};

/// Size in bytes after which a page ends, the item that exceeds it included.
const PAGE_BYTES: usize = 1 << 20;

/// Sort order. A leading `-` reverses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// Oldest first.
    CreatedAt,
    /// Newest first.
    #[serde(rename = "-created_at")]
    CreatedAtDescending,
    /// By name, in code point order.
    Name,
    /// By name, reversed.
    #[serde(rename = "-name")]
    NameDescending,
    /// Lowest price first.
    Price,
    /// Highest price first.
    #[serde(rename = "-price")]
    PriceDescending,
    /// Least viewed first, by the last refresh of the counts.
    Views,
    /// Most viewed first.
    #[serde(rename = "-views")]
    ViewsDescending,
}

/// Filter by availability.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Availability {
    /// Products that can be bought now.
    #[default]
    True,
    /// Products that are sold out.
    False,
    /// All products.
    Any,
}

/// Conditions that a product must all meet.
#[derive(Debug, Default)]
pub struct Filter {
    /// Contains this phrase in its name, without case, accents and normalisation.
    pub contains: Option<Phrase>,
    /// Has exactly this brand.
    pub brand: Option<String>,
    /// Has this category.
    pub category: Option<String>,
    /// Costs at least this.
    pub price_min: Option<Decimal>,
    /// Costs at most this.
    pub price_max: Option<Decimal>,
    /// Was released before this day.
    pub before: Option<NaiveDate>,
    /// Was released after this day.
    pub after: Option<NaiveDate>,
    /// Availability.
    pub in_stock: Availability,
}

/// A product in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListedProduct {
    /// Product.
    #[serde(flatten)]
    pub product: Product,
    /// Units that can be sold now; null if stock isn't tracked. May lag.
    pub quantity: Option<i64>,
    /// Number of views. May lag by seconds.
    pub views: i64,
}

/// Position of the last row of a page: its sort key and id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Position {
    sort: Sort,
    key: Key,
    id: Uuid,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Key {
    CreatedAt(DateTime<Utc>),
    Name(String),
    Price(Decimal),
    Views(i64),
}

impl Key {
    /// Whether a row can have this key. A forged cursor could exceed the ranges of PostgreSQL.
    fn is_possible(&self) -> bool {
        match self {
            Self::CreatedAt(at) => (1970..=9999).contains(&at.year()),
            Self::Name(name) => !name.contains('\0'),
            Self::Price(_) | Self::Views(_) => true,
        }
    }
}

#[derive(FromRow)]
struct Row {
    #[sqlx(flatten)]
    product: ProductRow,
    quantity: Option<i64>,
    views: i64,
}

impl Sort {
    fn column(self) -> &'static str {
        match self {
            Self::CreatedAt | Self::CreatedAtDescending => "p.created_at",
            Self::Name | Self::NameDescending => "p.name",
            Self::Price | Self::PriceDescending => "p.price",
            Self::Views | Self::ViewsDescending => "v.views",
        }
    }

    /// Id column that breaks ties, of the table whose index is used.
    fn tie_breaker(self) -> &'static str {
        if self.column() == "v.views" { "v.product_id" } else { "p.id" }
    }

    fn is_descending(self) -> bool {
        matches!(self, Self::CreatedAtDescending | Self::NameDescending | Self::PriceDescending | Self::ViewsDescending)
    }

    fn position(self, row: &Row) -> Position {
        let product = &row.product;
        let key = match self.column() {
            "p.created_at" => Key::CreatedAt(product.created_at),
            "p.name" => Key::Name(product.name.clone()),
            "p.price" => Key::Price(product.price),
            _ => Key::Views(row.views),
        };
        Position { sort: self, key, id: product.id }
    }
}

impl Position {
    /// Whether this position belongs to this sort order.
    #[must_use]
    pub fn fits(&self, sort: Sort) -> bool {
        let key_column = match self.key {
            Key::CreatedAt(_) => "p.created_at",
            Key::Name(_) => "p.name",
            Key::Price(_) => "p.price",
            Key::Views(_) => "v.views",
        };
        self.sort == sort && key_column == sort.column() && self.key.is_possible()
    }
}

/// Reads the page after `after`: at most `limit` products as JSON ([`ListedProduct`]), fewer if they exceed [`PAGE_BYTES`].
/// Also returns its position if there are more. Rows are read one by one, to bound the memory.
///
/// # Errors
/// Database errors.
pub async fn page(
    conn: &mut PgConnection,
    currency: Currency,
    filter: &Filter,
    sort: Sort,
    after: Option<Position>,
    limit: u16,
) -> Result<(Vec<Box<RawValue>>, Option<Position>), sqlx::Error> {
    let mut query = select(filter);
    if let Some(position) = after {
        let comparison = if sort.is_descending() { "<" } else { ">" };
        query.push(format!(" AND ({}, {}) {comparison} (", sort.column(), sort.tie_breaker()));
        match position.key {
            Key::CreatedAt(key) => query.push_bind(key),
            Key::Name(key) => query.push_bind(key),
            Key::Price(key) => query.push_bind(key),
            Key::Views(key) => query.push_bind(key),
        };
        query.push(", ").push_bind(position.id).push(")");
    }
    let direction = if sort.is_descending() { "DESC" } else { "ASC" };
    query.push(format!(" ORDER BY {} {direction}, {} {direction} LIMIT ", sort.column(), sort.tie_breaker()));
    query.push_bind(i64::from(limit) + 1);
    let query = query.build_query_as();
    let mut rows = query.fetch(conn);
    let (mut items, mut size, mut end) = (Vec::new(), 0, None);
    while let Some(row) = rows.try_next().await? {
        if items.len() == usize::from(limit) || size > PAGE_BYTES {
            return Ok((items, end));
        }
        end = Some(sort.position(&row));
        let Row { product, quantity, views } = row;
        let item = ListedProduct { product: product.into_product(currency), quantity, views };
        let item = to_raw_value(&item).map_err(|error| sqlx::Error::Encode(error.into()))?;
        size += item.get().len();
        items.push(item);
    }
    Ok((items, None))
}

fn select(filter: &Filter) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(
        "SELECT p.id, p.sku, p.name, p.brand, p.description, p.categories, p.price, p.url, p.released_on, p.attributes, p.version,
                p.created_at, p.updated_at, (s.product_id IS NULL OR NOT s.sold_out) AS in_stock,
                s.on_hand - s.reserved AS quantity, v.views
         FROM products.products p
         JOIN products.popularity v ON v.product_id = p.id
         LEFT JOIN products.stock s ON s.product_id = p.id
         WHERE p.deleted_at IS NULL",
    );
    if let Some(phrase) = &filter.contains {
        // The index finds the trigrams of a name but not their order; `strpos` checks that. `<> 0` and not `> 0`, which
        // PostgreSQL estimates to hold for a third of the rows only.
        query.push(" AND products.trigrams(p.search_name) @> products.trigrams(").push_bind(phrase.as_str().to_owned());
        query.push(") AND strpos(p.search_name, ").push_bind(phrase.as_str().to_owned()).push(") <> 0");
    }
    if let Some(brand) = &filter.brand {
        query.push(" AND p.brand = ").push_bind(brand.clone());
    }
    if let Some(category) = &filter.category {
        query.push(" AND p.categories @> ").push_bind(vec![category.clone()]);
    }
    if let Some(price) = filter.price_min {
        query.push(" AND p.price >= ").push_bind(price);
    }
    if let Some(price) = filter.price_max {
        query.push(" AND p.price <= ").push_bind(price);
    }
    if let Some(day) = filter.before {
        query.push(" AND p.released_on < ").push_bind(day);
    }
    if let Some(day) = filter.after {
        query.push(" AND p.released_on > ").push_bind(day);
    }
    match filter.in_stock {
        Availability::True => query.push(" AND (s.product_id IS NULL OR NOT s.sold_out)"),
        Availability::False => query.push(" AND s.sold_out"),
        Availability::Any => &mut query,
    };
    query
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_fits_only_its_own_sort_order() {
        let position = Position { sort: Sort::Name, key: Key::Name("a".into()), id: Uuid::nil() };
        assert!(position.fits(Sort::Name));
        assert!(!position.fits(Sort::NameDescending));
        let forged = Position { sort: Sort::Price, ..position };
        assert!(!forged.fits(Sort::Price), "the key is of another column");
    }

    #[test]
    fn a_forged_key_beyond_the_ranges_of_postgresql_is_rejected() {
        let position = |sort, key| Position { sort, key, id: Uuid::nil() };
        assert!(!position(Sort::CreatedAt, Key::CreatedAt("-5000-01-01T00:00:00Z".parse().unwrap())).fits(Sort::CreatedAt));
        assert!(!position(Sort::Name, Key::Name("a\0".into())).fits(Sort::Name));
    }
}
