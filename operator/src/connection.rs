//! Timeouts of calls to the API server.

use std::time::Duration;

use kube::Config;

/// How long the API server may be silent. Without it a call on a dead connection, and so the reconcile that made it, would never
/// end. Longer than a watch is silent (see `controller/retried.rs`).
const READ_TIMEOUT: Duration = Duration::from_secs(25);
/// How long a connection may take to be established.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The configuration with timeouts for every call.
#[must_use]
pub fn with_timeouts(mut config: Config) -> Config {
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    // Counted from the request, not from when its pooled connection became idle.
    config.reset_reader_on_write = true;
    config
}
