//! Watches for the loss of the schema: the database's volume may be lost, or its host name may resolve to another server.

use std::time::Duration;

use catalog_process::ops::Readiness;
use sqlx::PgPool;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{ReleaseError, check_schema, describe_schema};

const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Makes a process unready while its database has no schema or an older one than it needs, until `stop`.
///
/// Other errors don't change readiness. Requests report an unavailable database themselves, and a database that a newer release
/// has migrated precedes a rollout, during which pods of this release still serve.
///
/// # Errors
/// None.
pub async fn watch_schema(readiness: Readiness, pool: PgPool, stop: CancellationToken) -> anyhow::Result<()> {
    let mut checks = interval(CHECK_INTERVAL);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reported = None;
    while stop.run_until_cancelled(checks.tick()).await.is_some() {
        let Some(checked) = stop.run_until_cancelled(check_schema(&pool)).await else { break };
        match checked {
            Err(ReleaseError::NotMigrated { newest }) if reported != Some(newest) => {
                tracing::error!(problem = describe_schema(newest), "schema missing; not ready");
                readiness.waiting_for(&format!("catalog migrate: {}", describe_schema(newest)));
                reported = Some(newest);
            }
            Ok(()) if reported.take().is_some() => readiness.ready(),
            _ => {}
        }
    }
    Ok(())
}
