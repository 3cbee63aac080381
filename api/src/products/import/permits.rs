//! Limits on concurrent imports, per process and per admin.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

use super::Error;

/// Concurrent uploads. Each holds at most four batches of rows, about 4 MiB. The limit per admin is far lower, so that a few
/// admins with slow uploads do not exhaust it.
const MAX_UPLOADS: usize = 32;
/// Batches that are staged concurrently. The limit keeps database connections free for other requests.
const MAX_STAGING: usize = 4;
/// Imports that write products concurrently. The limit keeps database connections free for other requests.
const MAX_APPLYING: usize = 2;

/// Limits of all imports of one process.
pub struct Permits {
    max_per_admin: usize,
    admins: Mutex<HashMap<Uuid, usize>>,
    uploads: Semaphore,
    staging: Semaphore,
    applying: Semaphore,
}

/// Permit for one import of an admin, until it is dropped.
pub struct AdminPermit<'a> {
    permits: &'a Permits,
    admin_id: Uuid,
}

impl Permits {
    /// Allows at most `max_per_admin` concurrent imports per admin.
    #[must_use]
    pub fn new(max_per_admin: usize) -> Self {
        Self {
            max_per_admin,
            admins: Mutex::default(),
            uploads: Semaphore::new(MAX_UPLOADS),
            staging: Semaphore::new(MAX_STAGING),
            applying: Semaphore::new(MAX_APPLYING),
        }
    }

    /// Acquires the permit for an import of this admin, from its upload to its last write.
    ///
    /// # Errors
    /// [`Error::TooManyImportsOfAdmin`] at once if the admin has the maximum number.
    pub fn acquire_for_admin(&self, admin_id: Uuid) -> Result<AdminPermit<'_>, Error> {
        let mut admins = self.admins.lock().unwrap_or_else(PoisonError::into_inner);
        let running = admins.entry(admin_id).or_default();
        if *running >= self.max_per_admin {
            return Err(Error::TooManyImportsOfAdmin { max: self.max_per_admin });
        }
        *running += 1;
        Ok(AdminPermit { permits: self, admin_id })
    }

    /// Acquires the permit to receive a body.
    ///
    /// # Errors
    /// [`Error::Busy`] at once if all permits are in use.
    pub fn acquire_upload(&self) -> Result<SemaphorePermit<'_>, Error> {
        self.uploads.try_acquire().map_err(|_| Error::Busy)
    }

    /// Waits for the permit to stage one batch.
    ///
    /// # Errors
    /// If the process is shutting down.
    pub async fn acquire_staging(&self) -> Result<SemaphorePermit<'_>, sqlx::Error> {
        self.staging.acquire().await.map_err(|_| sqlx::Error::PoolClosed)
    }

    /// Waits for the permit to write products, in order of arrival.
    ///
    /// # Errors
    /// If the process is shutting down.
    pub async fn acquire_applying(&self) -> Result<SemaphorePermit<'_>, sqlx::Error> {
        self.applying.acquire().await.map_err(|_| sqlx::Error::PoolClosed)
    }
}

impl Drop for AdminPermit<'_> {
    fn drop(&mut self) {
        let mut admins = self.permits.admins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = admins.get_mut(&self.admin_id) {
            *running -= 1;
            if *running == 0 {
                admins.remove(&self.admin_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_per_admin_are_limited_and_permits_are_returned() {
        let permits = Permits::new(2);
        let (ada, grace) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let first = permits.acquire_for_admin(ada).unwrap();
        let second = permits.acquire_for_admin(ada).unwrap();
        assert!(matches!(permits.acquire_for_admin(ada), Err(Error::TooManyImportsOfAdmin { max: 2 })));
        let other = permits.acquire_for_admin(grace).unwrap();
        drop(first);
        let third = permits.acquire_for_admin(ada).unwrap();
        assert!(permits.acquire_for_admin(ada).is_err());
        drop((second, third, other));
        assert!(permits.admins.lock().unwrap().is_empty());
    }

    #[test]
    fn uploads_beyond_the_limit_are_rejected_at_once() {
        let permits = Permits::new(2);
        let held: Vec<_> = (0..MAX_UPLOADS).map(|_| permits.acquire_upload().unwrap()).collect();
        assert!(matches!(permits.acquire_upload(), Err(Error::Busy)));
        drop(held);
        assert!(permits.acquire_upload().is_ok());
    }
}
