//! The requests of the operator, from the audit log.

use std::time::Duration;

use anyhow::ensure;
use tokio::time::{Instant, sleep};

use crate::control_plane::audit::{Audit, Request};

/// The operator is idle after this time without requests. It is longer than the poll interval of Catalogs that are not ready.
const IDLE_AFTER: Duration = Duration::from_secs(8);
/// The time within which the operator must become idle.
const TIMEOUT: Duration = Duration::from_mins(10);

/// Requests since the last [`Self::reset`].
pub struct Traffic {
    audit: Audit,
    requests: Vec<Request>,
}

impl Traffic {
    /// Starts to read this audit log.
    pub fn of(audit: Audit) -> Self {
        Self { audit, requests: Vec::new() }
    }

    /// Discards all requests up to now.
    pub fn reset(&mut self) {
        self.audit.read_new();
        self.requests.clear();
    }

    /// Returns the requests since the last [`Self::reset`].
    pub fn requests(&mut self) -> &[Request] {
        self.requests.extend(self.audit.read_new());
        &self.requests
    }

    /// Waits until no reconcile has sent a request for some seconds.
    ///
    /// # Errors
    /// If that does not happen within 10 minutes.
    pub async fn wait_until_idle(&mut self) -> anyhow::Result<()> {
        self.wait_without(Request::is_by_reconcile).await
    }

    /// Waits until the operator has written nothing for some seconds. With a thousand Catalogs, some reconcile always reads.
    ///
    /// # Errors
    /// If that does not happen within 10 minutes.
    pub async fn wait_until_no_writes(&mut self) -> anyhow::Result<()> {
        self.wait_without(|request| request.by_operator && request.is_write()).await
    }

    async fn wait_without(&mut self, is_work: impl Fn(&Request) -> bool) -> anyhow::Result<()> {
        let (started, mut last) = (Instant::now(), Instant::now());
        while last.elapsed() < IDLE_AFTER {
            ensure!(started.elapsed() < TIMEOUT, "the operator does not become idle");
            sleep(Duration::from_millis(200)).await;
            let more = self.audit.read_new();
            if more.iter().any(&is_work) {
                last = Instant::now();
            }
            self.requests.extend(more);
        }
        Ok(())
    }
}
