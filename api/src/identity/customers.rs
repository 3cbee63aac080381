//! Operations that only customers have: deletion of the account, and mail about orders.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::Recipient;

/// Deletes a customer permanently, if present. Foreign keys delete the sessions and tokens.
///
/// # Errors
/// If the database fails.
pub async fn delete(pool: &PgPool, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM identity.accounts WHERE id = $1 AND role = 'customer'", id).execute(pool).await?;
    Ok(())
}

/// Reads the mail recipient of a customer, if the account exists and is active.
///
/// # Errors
/// If the database fails.
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
