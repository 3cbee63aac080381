//! Timeouts of requests to the API server.

use std::time::Duration;

use kube::Config;

/// Read timeout. Without it a request on a dead connection, and its reconcile, would never end. It is longer than the interval
/// of events of a watch (see `controller/watch_retry.rs`).
const READ_TIMEOUT: Duration = Duration::from_secs(25);
/// Connect timeout.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Adds timeouts to the configuration of a client.
#[must_use]
pub fn with_timeouts(mut config: Config) -> Config {
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    // The read timeout starts at the request, not when the pooled connection became idle.
    config.reset_reader_on_write = true;
    config
}
