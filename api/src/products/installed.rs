//! Reads for the setup of the installation.

use sqlx::PgConnection;

/// Whether any product exists. Deleted ones count, because their prices have a currency as well.
///
/// # Errors
/// Database errors.
pub async fn any_exist(conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM products.products) AS "exists!""#).fetch_one(conn).await
}
