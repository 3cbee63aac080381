//! What the operator asks for, until it asks for nothing more.

use std::time::Duration;

use anyhow::ensure;
use tokio::time::{Instant, sleep};

use crate::control_plane::audit::{Audit, Request};

/// Nothing asked for so long is rest: longer than the looks at what isn't ready.
const REST: Duration = Duration::from_secs(8);
/// How long it may take to come to rest.
const PATIENCE: Duration = Duration::from_mins(10);

/// Requests since the last [`Self::begin`].
pub struct Traffic {
    audit: Audit,
    seen: Vec<Request>,
}

impl Traffic {
    /// As that log says.
    pub fn of(audit: Audit) -> Self {
        Self { audit, seen: Vec::new() }
    }

    /// Forgets what was seen.
    pub fn begin(&mut self) {
        self.audit.more();
        self.seen.clear();
    }

    /// What was asked for, up to now.
    pub fn seen(&mut self) -> &[Request] {
        self.seen.extend(self.audit.more());
        &self.seen
    }

    /// Waits until no reconcile has asked for anything for a while.
    ///
    /// # Errors
    /// If that doesn't come.
    pub async fn rest(&mut self) -> anyhow::Result<()> {
        self.rest_from(Request::is_of_a_reconcile).await
    }

    /// Waits until nothing was written for a while. A thousand Catalogs are never without one that is looked at again.
    ///
    /// # Errors
    /// If that doesn't come.
    pub async fn rest_from_writes(&mut self) -> anyhow::Result<()> {
        self.rest_from(|request| request.by_operator && request.is_write()).await
    }

    async fn rest_from(&mut self, is_work: impl Fn(&Request) -> bool) -> anyhow::Result<()> {
        let (started, mut last) = (Instant::now(), Instant::now());
        while last.elapsed() < REST {
            ensure!(started.elapsed() < PATIENCE, "the operator doesn't come to rest");
            sleep(Duration::from_millis(200)).await;
            let more = self.audit.more();
            if more.iter().any(&is_work) {
                last = Instant::now();
            }
            self.seen.extend(more);
        }
        Ok(())
    }
}
