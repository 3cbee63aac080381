//! The roles of the binary: wiring only.

mod dev;
mod healthcheck;
mod inbox;
mod serve;
mod supervisor;

use clap::{Parser, Subcommand};

use crate::config::{LogArgs, LogFormat};

/// The shop backend of Catalog: API, workers and tools.
#[derive(Parser)]
#[command(version, about, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    logs: LogArgs,
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Serve the public API, and relay committed changes to JetStream
    Serve(serve::ServeArgs),
    /// Run the whole shop on this machine: PostgreSQL, NATS, every role, an inbox and sample products
    Dev(dev::DevArgs),
    /// Ask /readyz of the role on this machine: exit code 0 means ready
    Healthcheck(healthcheck::HealthcheckArgs),
    /// Take any mail and show it, for trying and testing
    #[command(hide = true)]
    Inbox(inbox::InboxArgs),
}

impl Cli {
    /// The log format asked for.
    pub fn log_format(&self) -> Option<LogFormat> {
        self.logs.log_format
    }

    /// Runs the role to its end.
    ///
    /// # Errors
    /// Whatever ended it, for the log.
    pub async fn run(self) -> anyhow::Result<()> {
        match self.role {
            Role::Serve(args) => serve::run(args).await,
            Role::Dev(args) => dev::run(args).await,
            Role::Healthcheck(args) => healthcheck::run(args).await,
            Role::Inbox(args) => inbox::run(args).await,
        }
    }
}
