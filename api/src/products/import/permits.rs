//! How many imports run at the same time in one process, and of one admin.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

use super::Error;

/// Uploads at the same time. Each holds at most four batches of rows, some 4 MiB. So many that some admins with slow
/// uploads leave room for others: the limit per admin is far below.
const UPLOADS: usize = 32;
/// Batches of rows that are staged at the same time, so that uploads leave connections to other requests.
const STAGING: usize = 4;
/// Imports that write products at the same time, so that they leave connections to other requests.
const APPLYING: usize = 2;

/// The permits of all imports of one process.
pub struct Permits {
    max_per_admin: usize,
    admins: Mutex<HashMap<Uuid, usize>>,
    uploads: Semaphore,
    staging: Semaphore,
    applying: Semaphore,
}

/// One import of an admin. Dropping it makes room for the next.
pub struct AdminPermit<'a> {
    permits: &'a Permits,
    admin_id: Uuid,
}

impl Permits {
    /// With at most `max_per_admin` imports of one admin at the same time.
    #[must_use]
    pub fn new(max_per_admin: usize) -> Self {
        Self {
            max_per_admin,
            admins: Mutex::default(),
            uploads: Semaphore::new(UPLOADS),
            staging: Semaphore::new(STAGING),
            applying: Semaphore::new(APPLYING),
        }
    }

    /// Takes the permit for one more import of this admin, from its upload to its last write.
    ///
    /// # Errors
    /// [`Error::TooManyOfAdmin`] at once if the admin has as many as allowed.
    pub fn of_admin(&self, admin_id: Uuid) -> Result<AdminPermit<'_>, Error> {
        let mut admins = self.admins.lock().unwrap_or_else(PoisonError::into_inner);
        let running = admins.entry(admin_id).or_default();
        if *running >= self.max_per_admin {
            return Err(Error::TooManyOfAdmin { max: self.max_per_admin });
        }
        *running += 1;
        Ok(AdminPermit { permits: self, admin_id })
    }

    /// Takes the permit to receive a body.
    ///
    /// # Errors
    /// [`Error::Busy`] at once if too many are being received.
    pub fn upload(&self) -> Result<SemaphorePermit<'_>, Error> {
        self.uploads.try_acquire().map_err(|_| Error::Busy)
    }

    /// Waits for the permit to stage one batch.
    ///
    /// # Errors
    /// If the process is stopping.
    pub async fn staging(&self) -> Result<SemaphorePermit<'_>, sqlx::Error> {
        self.staging.acquire().await.map_err(|_| sqlx::Error::PoolClosed)
    }

    /// Waits for the permit to write products, first come, first served.
    ///
    /// # Errors
    /// If the process is stopping.
    pub async fn applying(&self) -> Result<SemaphorePermit<'_>, sqlx::Error> {
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
    fn an_admin_has_a_bounded_number_of_imports_and_leaves_nothing_behind() {
        let permits = Permits::new(2);
        let (ada, grace) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let first = permits.of_admin(ada).unwrap();
        let second = permits.of_admin(ada).unwrap();
        assert!(matches!(permits.of_admin(ada), Err(Error::TooManyOfAdmin { max: 2 })));
        let other = permits.of_admin(grace).unwrap();
        drop(first);
        let third = permits.of_admin(ada).unwrap();
        assert!(permits.of_admin(ada).is_err());
        drop((second, third, other));
        assert!(permits.admins.lock().unwrap().is_empty());
    }

    #[test]
    fn uploads_beyond_the_limit_are_rejected_at_once() {
        let permits = Permits::new(2);
        let held: Vec<_> = (0..UPLOADS).map(|_| permits.upload().unwrap()).collect();
        assert!(matches!(permits.upload(), Err(Error::Busy)));
        drop(held);
        assert!(permits.upload().is_ok());
    }
}
