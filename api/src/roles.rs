//! The roles of the binary. They only connect the other modules.

mod admin;
mod fulfiller;
mod healthcheck;
mod migrate;
mod notifier;
mod openapi;
mod serve;
mod tracker;
mod worker;

use std::process::ExitCode;

use catalog_logging::LogFormat;
use catalog_process::config::LogArgs;
use clap::{Parser, Subcommand};

/// The shop backend of Catalog: the API and its workers.
#[derive(Parser)]
#[command(version, about, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    logs: LogArgs,
    #[command(subcommand)]
    role: Role,
}

#[allow(clippy::large_enum_variant, reason = "made once")]
#[derive(Subcommand)]
enum Role {
    /// Serve the public API, and relay committed changes to JetStream
    Serve(Box<serve::ServeArgs>),
    /// Turn changes into mail to the admins, and to customers about their orders
    Notifier(notifier::NotifierArgs),
    /// Print the OpenAPI document of the API
    Openapi,
    /// Count published views
    Tracker(tracker::TrackerArgs),
    /// Confirm new orders and fulfil due ones
    Fulfiller(fulfiller::FulfillerArgs),
    /// Upgrade the database, the superuser and the streams to this release, then exit
    Migrate(migrate::MigrateArgs),
    /// Manage admins in the database
    Admin(admin::AdminArgs),
    /// Request /readyz of the role on this machine; exit code 0 means ready
    Healthcheck(healthcheck::HealthcheckArgs),
}

impl Cli {
    /// Returns the configured log format. For commands that people run, the default is text.
    #[must_use]
    pub fn log_format(&self) -> Option<LogFormat> {
        let is_interactive = matches!(self.role, Role::Admin(_) | Role::Healthcheck(_) | Role::Openapi);
        self.logs.log_format.or(is_interactive.then_some(LogFormat::Text))
    }

    /// Runs the role and returns the exit status.
    ///
    /// # Errors
    /// The error that ended the role.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match self.role {
            Role::Migrate(args) => return migrate::run(args).await,
            Role::Serve(args) => serve::run(*args).await?,
            Role::Notifier(args) => notifier::run(args).await?,
            Role::Openapi => openapi::run()?,
            Role::Tracker(args) => tracker::run(args).await?,
            Role::Fulfiller(args) => fulfiller::run(args).await?,
            Role::Admin(args) => admin::run(args).await?,
            Role::Healthcheck(args) => healthcheck::run(args).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
