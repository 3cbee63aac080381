//! The roles of the binary: wiring only.

mod openapi;
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
    /// Print the OpenAPI document of the API
    Openapi,
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
            Role::Openapi => openapi::run(),
        }
    }
}
