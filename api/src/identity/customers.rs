//! What customers have and admins have not: an end of their own choice, and mail about their orders.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::Recipient;

/// Deletes a customer for good; sessions and tokens go with the account, by their foreign keys.
/// Doing it again changes nothing.
///
/// # Errors
/// If the database refuses.
pub async fn delete(pool: &PgPool, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM identity.accounts WHERE id = $1 AND role = 'customer'", id).execute(pool).await?;
    Ok(())
}

/// A customer to write to, if the account is there and active.
///
/// # Errors
/// If the database refuses.
pub async fn active_customer(conn: &mut PgConnection, id: Uuid) -> Result<Option<Recipient>, sqlx::Error> {
    sqlx::query_as!(
        Recipient,
        r#"SELECT id, email, coalesce(full_name, username) AS "name!" FROM identity.accounts
           WHERE role = 'customer' AND is_active AND id = $1"#,
        id,
    )
    .fetch_optional(conn)
    .await
}
