//! Connections to PostgreSQL.

mod permits;
mod pool_metrics;
mod reads;

use std::time::Duration;

use sqlx::{
    Connection, PgPool, Postgres, Transaction,
    postgres::{PgConnectOptions, PgDatabaseError, PgPoolOptions, PgSeverity},
};

use self::permits::Bounds;
pub use self::{
    permits::{Busy, Permits},
    reads::{ReadError, ReadPool},
};
use crate::config::{DatabaseSettings, ReadPoolSettings, ReadSettings};

/// How long a request waits for a connection before it is answered with 503.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// Statements get one plan, by index. By itself PostgreSQL makes a new one for every array of keys, as that of one key
/// looks cheaper than one for any: a third of its work for an order (`make bench`). And it reads tables from end to end
/// that were small when it last looked: queues fill and empty faster than that. Without `jit`, as PostgreSQL takes a scan
/// that it cannot avoid for so dear now that it would compile it, for 100 ms.
macro_rules! begin_by_index {
    ($timeouts:literal) => {
        concat!("BEGIN; SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off; SET LOCAL jit = off; ", $timeouts)
    };
}

/// For work that has all the time it needs, but for a process that stands still or whose machine is gone. A sender of mail
/// talks with its server meanwhile: this is longer than any such conversation, or mail would be sent twice.
const BEGIN_PATIENT: &str = begin_by_index!("SET LOCAL idle_in_transaction_session_timeout = '300s'");
/// Whoever stands in the way for long is in trouble, and must not hold up every connection of this process; and so must
/// not this, should it stand still.
const BEGIN_BRIEF: &str = begin_by_index!("SET LOCAL lock_timeout = '3s'; SET LOCAL idle_in_transaction_session_timeout = '15s'");
/// A connection that answered so lately is taken to be alive, as one is while it works: on a busy pool, that is all of them.
const TRUSTED_FOR: Duration = Duration::from_millis(1);

/// How long a list waits for a connection. Long enough that a client which waits sends little else.
const LIST_WAIT: Duration = Duration::from_secs(1);
/// How long a report waits, and each chunk of an export that has begun.
const REPORT_WAIT: Duration = Duration::from_secs(10);
/// How long a single read waits that no cache answers.
const LOOKUP_WAIT: Duration = Duration::from_secs(1);
/// Single reads that wait, for each permit.
const WAITING_LOOKUPS: u32 = 64;

/// The connections of `catalog serve`. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    /// Reads that must be current, and all writes.
    pub primary: PgPool,
    /// Anonymous single reads by sku and of stock, which must be current: how many of the primary's connections they use.
    pub lookups: Permits,
    /// Product lists; on the replica, if there is one.
    pub lists: ReadPool,
    /// Reports and exports; on the replica, if there is one.
    pub reports: ReadPool,
}

impl Database {
    /// Makes the pools. Nothing is connected yet, so that a process can start before its database.
    #[must_use]
    pub fn new(settings: &DatabaseSettings, reads: &ReadSettings) -> Self {
        let for_primary = settings.max_connections.saturating_sub(reads.connections_of_primary(settings)).max(1);
        let source = settings.replica.as_ref().unwrap_or(&settings.primary);
        let read_pool = |kind, name, settings: ReadPoolSettings, wait| {
            let pool = pool(source.clone().application_name(name), settings.connections);
            pool_metrics::register(kind, &pool);
            ReadPool::new(kind, pool, settings, wait)
        };
        let permits = for_primary.div_ceil(3);
        let primary = pool(settings.primary.clone().application_name("catalog"), for_primary);
        pool_metrics::register("primary", &primary);
        Self {
            primary,
            lookups: Permits::new(Bounds { kind: "lookups", permits, waiting: permits * WAITING_LOOKUPS, wait: LOOKUP_WAIT }),
            lists: read_pool("lists", "catalog lists", reads.lists, LIST_WAIT),
            reports: read_pool("reports", "catalog reports", reads.reports, REPORT_WAIT),
        }
    }
}

/// The primary's pool, for processes that serve no reads.
#[must_use]
pub fn primary(settings: &DatabaseSettings) -> PgPool {
    let pool = pool(settings.primary.clone().application_name("catalog"), settings.max_connections);
    pool_metrics::register("primary", &pool);
    pool
}

fn pool(options: PgConnectOptions, connections: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A round trip for each statement would be one too many: only those are asked that have rested.
        .test_before_acquire(false)
        .before_acquire(|connection, rest| {
            Box::pin(async move {
                if rest.idle_for > TRUSTED_FOR {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options)
}

/// Whether a database answers, for `/readyz?verbose`.
///
/// # Errors
/// Why it doesn't.
pub async fn ping(pool: &PgPool) -> Result<(), String> {
    sqlx::query_scalar!(r#"SELECT 1 AS "one!""#).fetch_one(pool).await.map(drop).map_err(|error| error.to_string())
}

/// A transaction that finds its rows by their keys, or the first of a queue, however the tables have grown or shrunk
/// since its statements were planned.
///
/// # Errors
/// If the database refuses.
pub async fn begin_by_index(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    pool.begin_with(BEGIN_PATIENT).await
}

/// A transaction of the same kind for what takes milliseconds.
///
/// # Errors
/// If the database refuses.
pub async fn begin_brief(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    pool.begin_with(BEGIN_BRIEF).await
}

/// Whether others were in the way: the same will do when they are gone. Nothing was changed.
#[must_use]
pub fn is_contention(error: &sqlx::Error) -> bool {
    // lock_not_available, deadlock_detected, serialization_failure: PostgreSQL manual, appendix A.
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| matches!(&*code, "55P03" | "40P01" | "40001"))
}

/// Whether a statement took longer than its timeout: the same will probably do so again.
#[must_use]
pub fn is_statement_timeout(error: &sqlx::Error) -> bool {
    // query_canceled, PostgreSQL manual, appendix A.
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "57014")
}

/// Whether the database, not the statement, is at fault: the request may be sent again later.
#[must_use]
pub fn is_outage(error: &sqlx::Error) -> bool {
    match error {
        // `Protocol`: a connection that ends in the middle of an answer, as through a proxy.
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        // Classes 08 (connection), 53 (insufficient resources), 57 (operator intervention), and 25006
        // (read only, as during a failover): PostgreSQL manual, appendix A.
        sqlx::Error::Database(error) => {
            // A refusal that ends the session, or keeps it from beginning (no connections allowed, no such
            // database, another password), says nothing of the statement.
            let severity = error.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::severity);
            matches!(severity, Some(PgSeverity::Fatal | PgSeverity::Panic))
                || error
                    .code()
                    .is_some_and(|code| code.starts_with("08") || code.starts_with("53") || code.starts_with("57") || code == "25006")
        }
        _ => false,
    }
}
