//! Pools for lists, reports and exports, so that these don't use the connections of orders.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};

use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Transaction};
use thiserror::Error;

use super::permits::{Bounds, Busy, Permit, Permits};
use crate::config::ReadPoolSettings;

/// Waiting requests per connection. Each takes a few KiB.
const WAITING_PER_CONNECTION: u32 = 32;

/// Why a read failed.
#[derive(Debug, Error)]
pub enum ReadError {
    /// Too many reads of this kind at once.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The database failed or is unavailable.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// A pool of connections for one kind of read, with a bounded queue and a statement timeout. Cheap to clone.
#[derive(Clone)]
pub struct ReadPool {
    pool: PgPool,
    permits: Permits,
    begin: Arc<str>,
}

impl ReadPool {
    /// `wait` is how long a read waits for a connection.
    #[must_use]
    pub fn new(kind: &'static str, pool: PgPool, settings: ReadPoolSettings, wait: Duration) -> Self {
        let permits = settings.connections;
        let bounds = Bounds { kind, permits, waiting: permits.saturating_mul(WAITING_PER_CONNECTION), wait };
        // Set per transaction: a transaction pooler drops startup options and shares a session's settings with other clients.
        // Plans depend on the values of filters, so they are custom. Parallel workers would multiply the CPU use of each
        // connection.
        let begin = format!(
            "BEGIN READ ONLY; SET LOCAL statement_timeout = {}; SET LOCAL plan_cache_mode = force_custom_plan; \
             SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off; SET LOCAL idle_in_transaction_session_timeout = '15s'",
            settings.timeout.as_millis()
        );
        Self { pool, permits: Permits::new(bounds), begin: begin.into() }
    }

    /// Begins a read-only transaction, which ends on drop.
    ///
    /// # Errors
    /// [`ReadError::Busy`] if no connection is free in time, or the database is unavailable.
    pub async fn begin(&self) -> Result<Read, ReadError> {
        let permit = self.permits.acquire().await?;
        let transaction = self.pool.begin_with(AssertSqlSafe(self.begin.to_string())).await?;
        Ok(Read { transaction, _permit: permit })
    }
}

/// A transaction of a [`ReadPool`].
pub struct Read {
    // Dropped before the permit.
    transaction: Transaction<'static, Postgres>,
    _permit: Permit,
}

impl Deref for Read {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.transaction
    }
}

impl DerefMut for Read {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}
