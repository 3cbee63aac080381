//! `catalog dev`: the whole shop on one machine, on a private PostgreSQL and nats-server.

mod account;
mod console;
mod process;
mod programs;
mod wheels;

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};
use nix::{sys::stat, unistd::Uid};
use serde_json::json;

use self::{account::Account, console::Console, programs::Finder};

/// Settings of `catalog dev`.
#[derive(Args)]
pub struct DevArgs {
    /// Where everything is kept [default: /var/lib/catalog as root, otherwise ~/.local/share/catalog]
    #[arg(long, env = "CATALOG_DATA_DIR", value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
    #[command(subcommand)]
    task: Option<Task>,
}

#[derive(Subcommand)]
enum Task {
    /// Find or install PostgreSQL and nats-server, and print where they are as JSON
    #[command(hide = true)]
    Programs,
}

/// Runs the role.
///
/// # Errors
/// Wrong settings, programs that cannot be had, or a server or role that doesn't start.
pub async fn run(args: DevArgs) -> anyhow::Result<()> {
    // Programs and data have to be within reach of PostgreSQL's user; secrets get a mode of their own.
    stat::umask(stat::Mode::from_bits_truncate(0o022));
    let directory = std::path::absolute(args.data_dir.unwrap_or_else(default_directory)).context("--data-dir is empty")?;
    match args.task {
        Some(Task::Programs) => print_programs(&directory.join("programs")).await,
        None => Ok(()),
    }
}

fn default_directory() -> PathBuf {
    if Uid::effective().is_root() {
        return PathBuf::from("/var/lib/catalog");
    }
    let named = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // XDG Base Directory Specification: a relative XDG_DATA_HOME is to be ignored.
    let data_home = named("XDG_DATA_HOME").filter(|path| path.is_absolute());
    let data_home = data_home.or_else(|| named("HOME").map(|home| home.join(".local/share")));
    data_home.unwrap_or_else(std::env::temp_dir).join("catalog")
}

/// For the test suite, which starts servers of its own.
async fn print_programs(directory: &std::path::Path) -> anyhow::Result<()> {
    let account = Account::for_postgres()?;
    let found = Finder { directory, account: account.as_ref(), console: Console::new() }.find(None).await?;
    let found = json!({
        "postgres_bin": found.postgres.bin,
        "nats_server": found.nats_server,
        "run_as": account.map(|account| account.name),
    });
    println!("{found}");
    Ok(())
}
