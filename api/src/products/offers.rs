//! What a customer is offered: enough of a product to sell it.

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

/// Those of `ids` that are in the catalogue; deleted products are not.
///
/// Stock is looked up one by one: as EXISTS, PostgreSQL may prefer to read all of it first.
///
/// # Errors
/// If the database refuses.
pub async fn offers(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Offer>, sqlx::Error> {
    sqlx::query_as!(
        Offer,
        r#"SELECT id AS product_id, sku, name, price,
                  COALESCE((SELECT true FROM products.stock s WHERE s.product_id = p.id), false) AS "tracked!"
           FROM products.products p WHERE id = ANY($1) AND deleted_at IS NULL"#,
        ids,
    )
    .fetch_all(conn)
    .await
}
