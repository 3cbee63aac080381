//! What a customer is offered: enough of a product to sell it.

use std::collections::HashMap;

use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

/// A product that can be sold, if there is enough of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Product.
    pub product_id: Uuid,
    /// Stock keeping unit.
    pub sku: String,
    /// Display name.
    pub name: String,
    /// Of one unit, in the catalogue's currency.
    pub price: Decimal,
    /// Whether its stock is tracked.
    pub tracked: bool,
}

/// Those of `ids` that are in the catalogue, by their ids; deleted products are not.
///
/// PostgreSQL is left one way to find them, by their keys. Stock as EXISTS might be read whole first; and asked for
/// those that aren't deleted, it might walk along any index of only those, which it thinks are few in a young table.
///
/// # Errors
/// If the database refuses.
pub async fn offers(conn: &mut PgConnection, ids: &[Uuid]) -> Result<HashMap<Uuid, Offer>, sqlx::Error> {
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
    let offered = rows.into_iter().filter(|row| row.deleted_at.is_none());
    let offers =
        offered.map(|row| (row.id, Offer { product_id: row.id, sku: row.sku, name: row.name, price: row.price, tracked: row.tracked }));
    Ok(offers.collect())
}
