//! The command line of the operator.

use std::{io::Write, path::PathBuf, process::ExitCode};

use anyhow::Context;
use catalog_logging::LogFormat;
use clap::{Args, Parser, Subcommand};

use crate::{crd, render, run};

/// The Kubernetes operator of Catalog.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Format of log lines [default: text on a terminal, else json]
    #[arg(long, env = "LOG_FORMAT", global = true, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// Filter of log lines, such as `info` or `catalog_operator=debug`
    #[arg(long, env = "RUST_LOG", global = true, default_value = "info", value_name = "FILTER")]
    log: String,
}

#[derive(Subcommand)]
enum Command {
    /// Run the operator in the cluster of KUBECONFIG or of the pod's service account
    Run(run::RunArgs),
    /// Print the CRD of `Catalog` as YAML, for `kubectl apply --server-side -f -`
    Crd,
    /// Print the objects of a Catalog, or the problems with it, without a cluster
    Render(RenderArgs),
}

#[derive(Args)]
struct RenderArgs {
    /// YAML file with the Catalog, or - for standard input
    file: PathBuf,
    /// Render for a cluster without KEDA
    #[arg(long)]
    without_keda: bool,
}

/// Parses the command line and runs the subcommand.
pub async fn run() -> ExitCode {
    let Cli { command, log_format, log } = Cli::parse();
    if let Err(error) = catalog_logging::start(log_format, &log) {
        eprintln!("{error:#}");
        return ExitCode::FAILURE;
    }
    let result = match command {
        Command::Run(args) => run::run(args).await,
        Command::Crd => crd::yaml().map_err(Into::into).and_then(|yaml| print(&yaml)),
        Command::Render(args) => render(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn render(RenderArgs { file, without_keda }: &RenderArgs) -> anyhow::Result<()> {
    let text = if file.as_os_str() == "-" { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(file) };
    let text = text.with_context(|| format!("cannot read {}", file.display()))?;
    print(&render::render(&text, !without_keda)?)
}

/// Prints a text. A closed pipe is not an error.
fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
