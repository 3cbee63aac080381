//! Rows of `products.products`.

use std::collections::BTreeMap;

use catalog_values::Currency;
use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use sqlx::{FromRow, PgConnection, PgPool, types::Json};
use uuid::Uuid;

use super::{Money, Product};

/// A product with its availability.
#[derive(Debug, FromRow)]
pub struct ProductRow {
    /// As in [`Product`].
    pub id: Uuid,
    /// As in [`Product`].
    pub sku: String,
    /// As in [`Product`].
    pub name: String,
    /// As in [`Product`].
    pub brand: Option<String>,
    /// As in [`Product`].
    pub description: Option<String>,
    /// As in [`Product`].
    pub categories: Vec<String>,
    /// In the catalogue's currency.
    pub price: Decimal,
    /// As in [`Product`].
    pub url: Option<String>,
    /// As in [`Product`].
    pub released_on: Option<NaiveDate>,
    /// As in [`Product`].
    pub attributes: Json<BTreeMap<String, String>>,
    /// As in [`Product`].
    pub version: i64,
    /// As in [`Product`].
    pub created_at: DateTime<Utc>,
    /// As in [`Product`].
    pub updated_at: DateTime<Utc>,
    /// As in [`Product`].
    pub in_stock: bool,
}

impl ProductRow {
    /// Converts the row into the product that the API returns.
    #[must_use]
    pub fn into_product(self, currency: Currency) -> Product {
        Product {
            id: self.id,
            sku: self.sku,
            name: self.name,
            brand: self.brand,
            description: self.description,
            categories: self.categories,
            price: Money::new(self.price, currency),
            url: self.url,
            released_on: self.released_on,
            attributes: self.attributes.0,
            in_stock: self.in_stock,
            created_at: self.created_at,
            updated_at: self.updated_at,
            version: self.version,
        }
    }
}

/// Reads products by id, except deleted ones, in any order.
///
/// # Errors
/// Database errors.
pub async fn read_by_ids(pool: &PgPool, ids: &[Uuid]) -> Result<Vec<ProductRow>, sqlx::Error> {
    sqlx::query_as!(
        ProductRow,
        r#"SELECT id, sku, name, brand, description, categories, price, url, released_on,
                  attributes AS "attributes: Json<BTreeMap<String, String>>", version, created_at, updated_at,
                  COALESCE((SELECT on_hand > reserved FROM products.stock s WHERE s.product_id = p.id), true) AS "in_stock!"
           FROM products.products p
           WHERE p.id = ANY($1) AND deleted_at IS NULL"#,
        ids,
    )
    .fetch_all(pool)
    .await
}

/// Reads the product with a sku, unless it is deleted.
///
/// # Errors
/// Database errors.
pub async fn read_by_sku(pool: &PgPool, sku: &str) -> Result<Option<ProductRow>, sqlx::Error> {
    sqlx::query_as!(
        ProductRow,
        r#"SELECT id, sku, name, brand, description, categories, price, url, released_on,
                  attributes AS "attributes: Json<BTreeMap<String, String>>", version, created_at, updated_at,
                  COALESCE((SELECT on_hand > reserved FROM products.stock s WHERE s.product_id = p.id), true) AS "in_stock!"
           FROM products.products p
           WHERE sku = $1 AND deleted_at IS NULL"#,
        sku,
    )
    .fetch_optional(pool)
    .await
}

/// A product that is locked until the end of the transaction.
pub struct LockedProduct {
    /// The row.
    pub row: ProductRow,
    /// Whether it is deleted.
    pub deleted: bool,
}

/// Locks a product, deleted or not. Commands on one product run one after the other.
///
/// # Errors
/// Database errors.
pub async fn lock_product(tx: &mut PgConnection, id: Uuid) -> Result<Option<LockedProduct>, sqlx::Error> {
    // Lock first, read afterwards: a join would read the stock as of before the wait for the lock.
    let locked = sqlx::query_scalar!(r#"SELECT deleted_at IS NOT NULL AS "deleted!" FROM products.products WHERE id = $1 FOR UPDATE"#, id)
        .fetch_optional(&mut *tx)
        .await?;
    let Some(deleted) = locked else { return Ok(None) };
    let row = sqlx::query_as!(
        ProductRow,
        r#"SELECT id, sku, name, brand, description, categories, price, url, released_on,
                  attributes AS "attributes: Json<BTreeMap<String, String>>", version, created_at, updated_at,
                  COALESCE((SELECT on_hand > reserved FROM products.stock s WHERE s.product_id = p.id), true) AS "in_stock!"
           FROM products.products p
           WHERE p.id = $1"#,
        id,
    )
    .fetch_one(tx)
    .await?;
    Ok(Some(LockedProduct { row, deleted }))
}

/// Locks the products with these skus, except deleted ones, in the order of the skus, so that two imports cannot
/// deadlock.
///
/// # Errors
/// Database errors.
pub async fn lock_by_skus(tx: &mut PgConnection, skus: &[&str]) -> Result<Vec<ProductRow>, sqlx::Error> {
    let ids = sqlx::query_scalar!(
        r#"SELECT id FROM products.products WHERE sku = ANY($1) AND deleted_at IS NULL ORDER BY sku COLLATE "C" FOR UPDATE"#,
        skus as _,
    )
    .fetch_all(&mut *tx)
    .await?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    // Lock first, read afterwards: a join would read the stock as of before the wait for the locks.
    sqlx::query_as!(
        ProductRow,
        r#"SELECT id, sku, name, brand, description, categories, price, url, released_on,
                  attributes AS "attributes: Json<BTreeMap<String, String>>", version, created_at, updated_at,
                  COALESCE((SELECT on_hand > reserved FROM products.stock s WHERE s.product_id = p.id), true) AS "in_stock!"
           FROM products.products p
           WHERE p.id = ANY($1)"#,
        &ids,
    )
    .fetch_all(tx)
    .await
}

/// Whether an error is a violation of the unique sku.
#[must_use]
pub fn is_sku_taken(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.constraint()) == Some("products_sku_key")
}
