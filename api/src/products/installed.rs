//! What the installation as a whole asks of the catalogue.

use sqlx::PgConnection;

/// Whether there is any product, deleted ones included: their prices have a currency, too.
///
/// # Errors
/// If the database refuses.
pub async fn any_exist(conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM products.products) AS "exists!""#).fetch_one(conn).await
}
