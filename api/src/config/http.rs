//! Limits of the public API's connections.

use std::time::Duration;

use catalog_process::config::Checker;
use clap::Args;

const MIB: usize = 1024 * 1024;

/// Connections of the public API.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Connections")]
pub struct HttpArgs {
    /// Open connections at most; more get 503. Each takes 5 KiB when idle, and up to 32 KiB for an unfinished head
    #[arg(long, env = "HTTP_MAX_CONNECTIONS", default_value = "2048", value_name = "N")]
    http_max_connections: String,
    /// Open connections of one client address (IPv6: /64 network) at most, 0 for no limit; more get 429. Ignored behind trusted proxies
    #[arg(long, env = "HTTP_MAX_CONNECTIONS_PER_CLIENT", default_value = "256", value_name = "N")]
    http_max_connections_per_client: String,
    /// How long a client may take to read 16 KiB of a response before its connection is closed
    #[arg(long, env = "HTTP_WRITE_TIMEOUT", default_value = "30s", value_name = "DURATION")]
    http_write_timeout: String,
    /// MiB of large responses that clients haven't read yet at most, a quarter of it for one client; more get 503
    #[arg(long, env = "HTTP_RESPONSE_BUDGET", default_value = "8", value_name = "MIB")]
    http_response_budget: String,
}

/// Checked connection settings.
#[derive(Debug, Clone, Copy)]
pub struct HttpSettings {
    /// 1 to 1,000,000.
    pub max_connections: usize,
    /// `None` for no limit.
    pub max_connections_per_client: Option<usize>,
    /// 100 ms to 1 hour.
    pub write_timeout: Duration,
    /// Bytes, 1 MiB to 64 GiB.
    pub response_budget: usize,
}

impl HttpArgs {
    /// Checks the settings.
    pub fn check(&self, check: &mut Checker) -> Option<HttpSettings> {
        let max_connections =
            check.value("HTTP_MAX_CONNECTIONS", &self.http_max_connections, "a whole number from 1 to 1000000", |n: &usize| {
                (1..=1_000_000).contains(n)
            });
        let max_connections_per_client = check.value(
            "HTTP_MAX_CONNECTIONS_PER_CLIENT",
            &self.http_max_connections_per_client,
            "a whole number from 0 to 1000000",
            |n: &usize| *n <= 1_000_000,
        );
        let write_timeout =
            check.duration("HTTP_WRITE_TIMEOUT", &self.http_write_timeout, Duration::from_millis(100), Duration::from_hours(1));
        let response_budget =
            check.value("HTTP_RESPONSE_BUDGET", &self.http_response_budget, "a whole number of MiB from 1 to 65536", |n: &usize| {
                (1..=65536).contains(n)
            });
        Some(HttpSettings {
            max_connections: max_connections?,
            max_connections_per_client: max_connections_per_client.map(|n| (n > 0).then_some(n))?,
            write_timeout: write_timeout?,
            response_budget: response_budget? * MIB,
        })
    }
}
