//! Names of products, for reports.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

/// Sku and name of a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductName {
    /// Sku.
    pub sku: String,
    /// Name.
    pub name: String,
}

/// Reads the names of products by id, except deleted ones.
///
/// # Errors
/// Database errors.
pub async fn read_names(conn: &mut PgConnection, ids: &[Uuid]) -> Result<HashMap<Uuid, ProductName>, sqlx::Error> {
    let rows = sqlx::query!("SELECT id, sku, name FROM products.products WHERE id = ANY($1) AND deleted_at IS NULL", ids);
    let rows = rows.fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| (row.id, ProductName { sku: row.sku, name: row.name })).collect())
}
