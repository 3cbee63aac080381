//! The fields of products that carts and orders need.

use std::collections::HashMap;

use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

/// A product that is not deleted. It can be sold if it has enough stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SellableProduct {
    /// Product id.
    pub product_id: Uuid,
    /// Sku.
    pub sku: String,
    /// Name.
    pub name: String,
    /// Price of one unit, in the catalogue's currency.
    pub price: Decimal,
    /// Whether its stock is tracked.
    pub tracked: bool,
}

/// Reads the products with these ids, except deleted ones.
///
/// The query leaves PostgreSQL one plan: lookups by primary key. With EXISTS it could scan all stock, and with a condition
/// on `deleted_at` it could scan a partial index whose size it underestimates while the table is new.
///
/// # Errors
/// Database errors.
pub async fn read_sellable(conn: &mut PgConnection, ids: &[Uuid]) -> Result<HashMap<Uuid, SellableProduct>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query!(
        r#"SELECT id, sku, name, price, deleted_at,
                  COALESCE((SELECT true FROM products.stock s WHERE s.product_id = p.id), false) AS "tracked!"
           FROM products.products p WHERE id = ANY($1)"#,
        ids,
    )
    .fetch_all(conn)
    .await?;
    let live = rows.into_iter().filter(|row| row.deleted_at.is_none());
    let sellable = live
        .map(|row| (row.id, SellableProduct { product_id: row.id, sku: row.sku, name: row.name, price: row.price, tracked: row.tracked }));
    Ok(sellable.collect())
}
