//! `catalogctl`: command-line tools. They are not in the shop's image.

mod dev;
mod import;
mod inbox;

use std::process::ExitCode;

use catalog_logging::LogFormat;
use catalog_process::{config::LogArgs, program};
use clap::{Parser, Subcommand};

/// The command-line tools of Catalog: a whole shop on this machine, imports, and an inbox for tests.
#[derive(Parser)]
#[command(name = "catalogctl", version, about, propagate_version = true, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    logs: LogArgs,
    #[command(subcommand)]
    tool: Tool,
}

#[derive(Subcommand)]
enum Tool {
    /// Import a file of products through the API, as an admin
    Import(import::ImportArgs),
    /// Run the whole shop on this machine: PostgreSQL, NATS, every role, an inbox and sample products
    Dev(dev::DevArgs),
    /// Accept any mail by SMTP and show it on a page; for demonstrations and tests
    Inbox(inbox::InboxArgs),
}

impl Cli {
    /// Returns the configured log format. For commands that people run, the default is text; the inbox is a server.
    fn log_format(&self) -> Option<LogFormat> {
        let is_interactive = !matches!(self.tool, Tool::Inbox(_));
        self.logs.log_format.or(is_interactive.then_some(LogFormat::Text))
    }

    async fn run(self) -> anyhow::Result<ExitCode> {
        match self.tool {
            Tool::Import(args) => return import::run(args).await,
            Tool::Dev(args) => dev::run(args).await?,
            Tool::Inbox(args) => inbox::run(args).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    program::run(cli.log_format(), cli.run())
}
