//! What products are called, for reports.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

/// How people know a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Stock keeping unit.
    pub sku: String,
    /// Display name.
    pub name: String,
}

/// The names of those of `ids` that are in the catalogue; deleted products are not.
///
/// # Errors
/// If the database refuses.
pub async fn names(conn: &mut PgConnection, ids: &[Uuid]) -> Result<HashMap<Uuid, Name>, sqlx::Error> {
    let rows = sqlx::query!("SELECT id, sku, name FROM products.products WHERE id = ANY($1) AND deleted_at IS NULL", ids);
    let rows = rows.fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| (row.id, Name { sku: row.sku, name: row.name })).collect())
}
