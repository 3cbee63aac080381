//! The command line: one subcommand, one role.

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
    /// How log lines are written [default: text on a terminal, else json]
    #[arg(long, env = "LOG_FORMAT", global = true, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// What is logged, such as `info` or `catalog_operator=debug`
    #[arg(long, env = "RUST_LOG", global = true, default_value = "info", value_name = "FILTER")]
    log: String,
}

#[derive(Subcommand)]
enum Command {
    /// Run the operator in the cluster that KUBECONFIG or the pod's account names
    Run(run::RunArgs),
    /// Print the definition of the `Catalog` resource as YAML, for `kubectl apply -f -`
    Crd,
    /// Print the objects that a Catalog would become, without a cluster, or what is wrong with it
    Render(RenderArgs),
}

#[derive(Args)]
struct RenderArgs {
    /// File with the Catalog as YAML, or - for the standard input
    file: PathBuf,
    /// Render for a cluster without KEDA
    #[arg(long)]
    without_keda: bool,
}

/// Does what the command line says.
pub async fn run() -> ExitCode {
    let Cli { command, log_format, log } = Cli::parse();
    if let Err(error) = catalog_logging::start(log_format, &log) {
        eprintln!("{error:#}");
        return ExitCode::FAILURE;
    }
    let done = match command {
        Command::Run(args) => run::run(args).await,
        Command::Crd => crd::yaml().map_err(Into::into).and_then(|yaml| print(&yaml)),
        Command::Render(args) => render(&args),
    };
    match done {
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

/// A reader that has seen enough is no error.
fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
