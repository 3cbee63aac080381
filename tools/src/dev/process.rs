//! Starts, supervises and stops the child processes of `catalogctl dev`.

mod lines;
mod orphans;
mod startup;
mod supervisor;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, bail};
use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::process::{Child, Command};

pub use orphans::stop_orphans;
pub use startup::Startup;
pub use supervisor::{Stopping, Supervisor};

use lines::Lines;

use super::{console::Console, name::Name, ports::ListenAddress, system_user::SystemUser};

/// Environment variable that marks a child with its name and data directory: `notifier@/var/lib/catalog`. The next run finds the
/// children of a killed run by this mark, even if their PID files are missing.
const MARK: &str = "CATALOG_DEV_CHILD";

/// Specification of a child process.
#[derive(Debug, Clone)]
pub struct Spec {
    pub name: Name,
    pub program: PathBuf,
    /// Must not contain secrets: every user of the machine can read them.
    pub arguments: Vec<OsString>,
    /// Variables to set.
    pub environment: Vec<(&'static str, OsString)>,
    /// Variables that aren't inherited.
    pub removed_variables: &'static [&'static str],
    /// Whether only PATH is inherited.
    pub clear_environment: bool,
    /// The user to run as.
    pub user: Option<SystemUser>,
    /// Addresses on which the child listens.
    pub addresses: Vec<ListenAddress>,
    /// The lock file of PostgreSQL, which says whether it is shutting down.
    pub lock_file: Option<PathBuf>,
    /// Whether a line of the child's output is printed.
    pub is_shown: fn(&str) -> bool,
}

impl Spec {
    /// Starts the child in its own process group, so that Ctrl-C reaches only `catalogctl dev`, which stops all children in
    /// order.
    fn spawn(&self, root: &Path, console: Console) -> anyhow::Result<(Child, Lines)> {
        let mut command = super::system_user::command(&self.program, root, self.user.as_ref());
        self.configure(&mut command, root);
        let mut child = command.spawn().with_context(|| format!("cannot run {}", self.program.display()))?;
        let lines = Lines::read(&mut child, self.name, self.is_shown, console);
        Ok((child, lines))
    }

    fn configure(&self, command: &mut Command, root: &Path) {
        if self.clear_environment {
            command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        }
        for name in self.removed_variables {
            command.env_remove(name);
        }
        command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env(MARK, mark(self.name, root))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
    }

    /// Runs the process and waits until it exits.
    ///
    /// # Errors
    /// If the process cannot be started or fails.
    pub async fn run(&self, root: &Path, console: Console) -> anyhow::Result<()> {
        let mut command = super::system_user::command(&self.program, root, self.user.as_ref());
        self.configure(&mut command, root);
        let mut child = command.kill_on_drop(true).spawn().with_context(|| format!("cannot run {}", self.program.display()))?;
        let lines = Lines::read(&mut child, self.name, self.is_shown, console);
        let status = child.wait().await?;
        let last_lines = lines.last().await;
        if !status.success() {
            bail!("{} failed ({status}){last_lines}", self.name.as_str());
        }
        Ok(())
    }
}

fn mark(name: Name, root: &Path) -> OsString {
    let mut mark = OsString::from(name.as_str());
    mark.push("@");
    mark.push(root);
    mark
}

/// Sends a signal. If the process has exited, does nothing.
fn send(pid: Pid, signal: Signal) -> anyhow::Result<()> {
    match kill(pid, signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot send {signal} to process {pid}")),
    }
}
