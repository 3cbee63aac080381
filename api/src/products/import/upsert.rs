//! Writing many products with one statement.

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde_json::Value;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use crate::products::{Product, search};

/// Products as columns, for `UNNEST`.
#[derive(Default)]
struct Columns<'a> {
    ids: Vec<Uuid>,
    skus: Vec<&'a str>,
    names: Vec<&'a str>,
    search_names: Vec<String>,
    brands: Vec<Option<&'a str>>,
    descriptions: Vec<Option<&'a str>>,
    /// JSON arrays, because PostgreSQL arrays of arrays must be rectangular.
    categories: Vec<Json<&'a [String]>>,
    prices: Vec<Decimal>,
    urls: Vec<Option<&'a str>>,
    dates: Vec<Option<NaiveDate>>,
    attributes: Vec<Value>,
}

impl<'a> Columns<'a> {
    fn of(products: &[&'a Product]) -> Self {
        let mut columns = Self::default();
        for product in products {
            columns.ids.push(product.id);
            columns.skus.push(&product.sku);
            columns.names.push(&product.name);
            columns.search_names.push(search::fold(&product.name));
            columns.brands.push(product.brand.as_deref());
            columns.descriptions.push(product.description.as_deref());
            columns.categories.push(Json(&product.categories));
            columns.prices.push(product.price.decimal().unwrap_or_default());
            columns.urls.push(product.url.as_deref());
            columns.dates.push(product.released_on);
            columns.attributes.push(product.attributes.iter().map(|(name, value)| (name.clone(), Value::from(value.clone()))).collect());
        }
        columns
    }
}

/// Inserts products and returns the ids of those whose sku was still free.
///
/// # Errors
/// Database errors.
pub async fn insert(tx: &mut PgConnection, products: &[&Product], now: DateTime<Utc>) -> Result<Vec<Uuid>, sqlx::Error> {
    if products.is_empty() {
        return Ok(Vec::new());
    }
    let new = Columns::of(products);
    sqlx::query_scalar!(
        "INSERT INTO products.products
             (id, sku, name, brand, description, categories, price, url, released_on, attributes, created_at, updated_at,
              search_name_of, search_name)
         SELECT id, sku, name, brand, description, ARRAY(SELECT jsonb_array_elements_text(categories)), price, url, released_on, attributes,
                $11, $11, name, search_name
         FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::numeric[], $8::text[], $9::date[], $10::jsonb[],
                     $12::text[])
              AS new (id, sku, name, brand, description, categories, price, url, released_on, attributes, search_name)
         ON CONFLICT (sku) WHERE deleted_at IS NULL DO NOTHING
         RETURNING id",
        &new.ids,
        &new.skus as _,
        &new.names as _,
        &new.brands as _,
        &new.descriptions as _,
        &new.categories as _,
        &new.prices,
        &new.urls as _,
        &new.dates as _,
        &new.attributes,
        now,
        &new.search_names,
    )
    .fetch_all(tx)
    .await
}

/// Updates products with their next versions. The caller holds their locks.
///
/// # Errors
/// Database errors.
pub async fn update(tx: &mut PgConnection, products: &[&Product], now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    if products.is_empty() {
        return Ok(());
    }
    let new = Columns::of(products);
    sqlx::query!(
        "UPDATE products.products p
         SET name = new.name, brand = new.brand, description = new.description,
             categories = ARRAY(SELECT jsonb_array_elements_text(new.categories)), price = new.price, url = new.url,
             released_on = new.released_on, attributes = new.attributes, updated_at = $10, version = version + 1,
             search_name_of = new.name, search_name = new.search_name
         FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[], $5::jsonb[], $6::numeric[], $7::text[], $8::date[], $9::jsonb[],
                     $11::text[])
              AS new (id, name, brand, description, categories, price, url, released_on, attributes, search_name)
         WHERE p.id = new.id",
        &new.ids,
        &new.names as _,
        &new.brands as _,
        &new.descriptions as _,
        &new.categories as _,
        &new.prices,
        &new.urls as _,
        &new.dates as _,
        &new.attributes,
        now,
        &new.search_names,
    )
    .execute(tx)
    .await?;
    Ok(())
}
