//! Commands and queries on accounts of either role.

use chrono::{DateTime, Utc};
use garde::Validate;
use uuid::Uuid;

use super::Identity;
use crate::identity::{Error, account::RoleAccount, accounts, customers};

impl Identity {
    /// Reads one page of accounts, oldest first, and the start of the next page. With `email`, reads only the account with this
    /// address, case-insensitively.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn accounts<A: RoleAccount>(
        &self,
        email: Option<&str>,
        after: Option<Uuid>,
        limit: u16,
    ) -> Result<(Vec<A>, Option<Uuid>), Error> {
        accounts::list(&self.0.pool, email, after, limit).await
    }

    /// Finds an account, active or not.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn account<A: RoleAccount>(&self, id: Uuid) -> Result<A, Error> {
        accounts::find(&self.0.pool, id).await
    }

    /// Creates an account.
    ///
    /// # Errors
    /// [`Error::Invalid`] or [`Error::Taken`].
    pub async fn create<A: RoleAccount>(&self, new: A::New, now: DateTime<Utc>) -> Result<A, Error> {
        new.validate()?;
        let hash = self.0.hashing.hash(A::details(&new).password.clone()).await?;
        let mut conn = self.0.pool.acquire().await?;
        accounts::create(&mut conn, &new, &hash, now).await
    }

    /// Changes an account.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Superuser`], [`Error::Invalid`] or [`Error::Taken`].
    pub async fn change<A: RoleAccount>(&self, id: Uuid, patch: A::Patch, now: DateTime<Utc>) -> Result<A, Error> {
        // Checked first, because hashing the password is expensive.
        accounts::reject_unchangeable::<A>(&self.0.pool, id).await?;
        patch.validate()?;
        let hash = match A::changes(&patch).password {
            Some(password) => Some(self.0.hashing.hash(password.clone()).await?),
            None => None,
        };
        accounts::change(&self.0.pool, id, &patch, hash.as_deref(), now).await
    }

    /// Deactivates an account and revokes its sessions.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Superuser`].
    pub async fn deactivate<A: RoleAccount>(&self, id: Uuid, now: DateTime<Utc>) -> Result<A, Error> {
        accounts::set_active(&self.0.pool, id, false, now).await
    }

    /// Activates a deactivated account.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Superuser`].
    pub async fn restore<A: RoleAccount>(&self, id: Uuid, now: DateTime<Utc>) -> Result<A, Error> {
        accounts::set_active(&self.0.pool, id, true, now).await
    }

    /// Deletes a customer and its sessions permanently.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn delete_customer(&self, id: Uuid) -> Result<(), Error> {
        Ok(customers::delete(&self.0.pool, id).await?)
    }
}
