//! A database can lose its schema while a process works on it: its volume was lost, or its name leads to another server.

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{ReleaseError, check_schema, describe_schema};
use crate::http::ops::Readiness;

/// Between two checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Makes a process unready while its database has no schema or an older one than it needs, until `stop`.
///
/// A database that doesn't answer, or belongs to a newer release, changes nothing: the first is an outage, which requests
/// report, and the second is on its way to a rollout, during which the pods of this release still serve.
///
/// # Errors
/// None: the signature is that of every supervised task.
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
