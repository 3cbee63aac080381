//! Existence of products, for other domains.

use sqlx::PgPool;
use uuid::Uuid;

/// Whether a product exists and is not deleted.
///
/// # Errors
/// Database errors.
pub async fn exists(pool: &PgPool, id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!("SELECT EXISTS (SELECT FROM products.products WHERE id = $1 AND deleted_at IS NULL) AS \"exists!\"", id)
        .fetch_one(pool)
        .await
}
