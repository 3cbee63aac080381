//! Settings of logs, probes, metrics and shutdown, the same for every program.

use std::{net::SocketAddr, time::Duration};

use catalog_logging::LogFormat;
use clap::Args;

use super::Checker;

/// Probes, metrics and shutdown, the same for every role.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Operations")]
pub struct OpsArgs {
    /// Where /livez, /readyz and /metrics listen; keep it private; the IPv6 wildcard includes IPv4
    #[arg(long, env = "OPS_ADDRESS", default_value = "[::]:9090", value_name = "ADDRESS:PORT")]
    ops_address: String,
    /// How long work in progress, such as requests, may take to finish after SIGTERM
    #[arg(long, env = "SHUTDOWN_TIMEOUT", default_value = "30s", value_name = "DURATION")]
    shutdown_timeout: String,
}

/// Checked operations settings.
#[derive(Debug, Clone, Copy)]
pub struct OpsSettings {
    /// Listener.
    pub address: SocketAddr,
    /// Drain limit, at most 1 hour.
    pub shutdown_timeout: Duration,
}

impl OpsArgs {
    /// Checks the settings.
    pub fn check(&self, check: &mut Checker) -> Option<OpsSettings> {
        let address = check.value("OPS_ADDRESS", &self.ops_address, "an address and port such as [::]:9090 or 127.0.0.1:9090", |_| true);
        let shutdown_timeout = check.duration("SHUTDOWN_TIMEOUT", &self.shutdown_timeout, Duration::ZERO, Duration::from_hours(1));
        Some(OpsSettings { address: address?, shutdown_timeout: shutdown_timeout? })
    }
}

/// Logs. `RUST_LOG` sets the level (`info`), per module if need be.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Logs (RUST_LOG sets the level: error, warn, info, debug, trace)")]
pub struct LogArgs {
    /// json or text [default: text on a terminal and for what is run by hand, otherwise json]
    #[arg(long, env = "LOG_FORMAT", value_name = "FORMAT", global = true)]
    pub log_format: Option<LogFormat>,
}
