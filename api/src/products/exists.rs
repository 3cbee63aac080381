//! Whether there is such a product.

use sqlx::PgPool;
use uuid::Uuid;

/// Whether a product is in the catalogue. A deleted one is not.
///
/// # Errors
/// If the database refuses.
pub async fn exists(pool: &PgPool, id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!("SELECT EXISTS (SELECT FROM products.products WHERE id = $1 AND deleted_at IS NULL) AS \"exists!\"", id)
        .fetch_one(pool)
        .await
}
