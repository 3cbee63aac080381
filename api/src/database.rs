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

/// How long a request waits for a connection before the response is 503.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// The statements that begin a transaction with generic plans and index scans.
///
/// By default, PostgreSQL plans a statement again for every array of keys, because a plan for one key looks cheaper than a
/// generic one; planning was a third of the work for an order (`make bench`). It also uses sequential scans on tables that were
/// small when they were last analysed, and queues grow and shrink faster than that. `jit` is off because
/// `enable_seqscan = off` makes unavoidable scans look so expensive that PostgreSQL would compile them, which takes 100 ms.
macro_rules! begin_with_index_scans {
    ($timeouts:literal) => {
        concat!("BEGIN; SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off; SET LOCAL jit = off; ", $timeouts)
    };
}

/// For long transactions. The timeout frees the locks of a process that hangs or whose machine has failed. It is longer than any
/// SMTP session of one mail, during which a sender's transaction is idle; otherwise mail would be sent twice.
const BEGIN_LONG: &str = begin_with_index_scans!("SET LOCAL idle_in_transaction_session_timeout = '300s'");
/// For transactions of milliseconds: a lock that another transaction holds for long, or a process that hangs, must not block all
/// connections.
const BEGIN_BRIEF: &str = begin_with_index_scans!("SET LOCAL lock_timeout = '3s'; SET LOCAL idle_in_transaction_session_timeout = '15s'");
/// Connections that were idle for longer are pinged before use. In a busy pool, connections are rarely idle that long.
const PING_AFTER_IDLE: Duration = Duration::from_millis(1);

/// How long a list waits for a connection. Waiting limits the rate of a client's requests.
const LIST_WAIT: Duration = Duration::from_secs(1);
/// How long a report or a chunk of an export waits for a connection.
const REPORT_WAIT: Duration = Duration::from_secs(10);
/// How long a single-row read that misses the cache waits for a connection.
const LOOKUP_WAIT: Duration = Duration::from_secs(1);
/// Maximum number of waiting single-row reads per permit.
const WAITING_LOOKUPS: u32 = 64;

/// The connections of `catalog serve`. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    /// Reads that must be current, and all writes.
    pub primary: PgPool,
    /// Limits the connections of `primary` that anonymous reads by sku and of stock use, which must be current.
    pub lookups: Permits,
    /// Product lists; on the replica, if there is one.
    pub lists: ReadPool,
    /// Reports and exports; on the replica, if there is one.
    pub reports: ReadPool,
}

impl Database {
    /// Creates the pools without connecting, so that a process can start before its database.
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

/// Creates the pool of a process that serves no reads.
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
        // A ping per statement would cost a round trip each, so only idle connections are pinged.
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > PING_AFTER_IDLE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options)
}

/// Checks the database for `/readyz?verbose`.
///
/// # Errors
/// If it doesn't answer.
pub async fn ping(pool: &PgPool) -> Result<(), String> {
    sqlx::query_scalar!(r#"SELECT 1 AS "one!""#).fetch_one(pool).await.map(drop).map_err(|error| error.to_string())
}

/// Begins a transaction that reads rows by key or from the head of a queue, with index scans for tables of any size.
///
/// # Errors
/// If the database fails.
pub async fn begin_with_index_scans(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    pool.begin_with(BEGIN_LONG).await
}

/// Like [`begin_with_index_scans()`], for transactions of milliseconds.
///
/// # Errors
/// If the database fails.
pub async fn begin_brief(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    pool.begin_with(BEGIN_BRIEF).await
}

/// Whether a statement failed because of concurrent transactions. Nothing was changed, and a retry will probably succeed.
#[must_use]
pub fn is_contention(error: &sqlx::Error) -> bool {
    // lock_not_available, deadlock_detected, serialization_failure: PostgreSQL manual, appendix A.
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| matches!(&*code, "55P03" | "40P01" | "40001"))
}

/// Whether a statement exceeded its timeout. A retry probably would again.
#[must_use]
pub fn is_statement_timeout(error: &sqlx::Error) -> bool {
    // query_canceled, PostgreSQL manual, appendix A.
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "57014")
}

/// Whether the database is unavailable, so that the request can be retried later.
#[must_use]
pub fn is_outage(error: &sqlx::Error) -> bool {
    match error {
        // `Protocol`: the connection was closed in the middle of a response, such as by a proxy.
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        // Classes 08 (connection), 53 (insufficient resources), 57 (operator intervention), and 25006
        // (read only, as during a failover): PostgreSQL manual, appendix A.
        sqlx::Error::Database(error) => {
            // An error that ends the session or prevents it (no connections allowed, unknown database, wrong password) is not
            // caused by the statement.
            let severity = error.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::severity);
            matches!(severity, Some(PgSeverity::Fatal | PgSeverity::Panic))
                || error
                    .code()
                    .is_some_and(|code| code.starts_with("08") || code.starts_with("53") || code.starts_with("57") || code == "25006")
        }
        _ => false,
    }
}
