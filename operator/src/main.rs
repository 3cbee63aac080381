//! `catalog-operator`: one `Catalog` resource becomes a shop on Kubernetes.
//!
//! So far it knows what such a resource looks like; it doesn't run anything yet.

mod crd;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The Kubernetes operator of Catalog.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the definition of the `Catalog` resource as YAML, for `kubectl apply -f -`
    Crd,
}

fn main() -> ExitCode {
    let Cli { command: Command::Crd } = Cli::parse();
    match crd::yaml() {
        Ok(yaml) => {
            print!("{yaml}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("cannot write the definition down: {error}");
            ExitCode::FAILURE
        }
    }
}
