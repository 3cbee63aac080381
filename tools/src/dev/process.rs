//! The processes of `catalogctl dev`: starts, supervises and stops them.

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

use super::{account::Account, console::Console, ports::Place};

/// Environment variable that marks a child with its name and data directory: `notifier@/var/lib/catalog`. Children of a run that
/// was killed are found by it, also without their PID files.
const MARK: &str = "CATALOG_DEV_CHILD";

/// The name of a process, in the order in which they are stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// `catalogctl dev` itself.
    Dev,
    /// `catalog migrate`.
    Migrate,
    /// `catalog serve`.
    Serve,
    /// `catalog notifier`.
    Notifier,
    /// `catalog tracker`.
    Tracker,
    /// `catalog fulfiller`.
    Fulfiller,
    /// `catalogctl inbox`.
    Inbox,
    /// nats-server.
    Nats,
    /// PostgreSQL.
    Postgres,
}

impl Name {
    /// All children.
    pub const CHILDREN: [Self; 8] =
        [Self::Migrate, Self::Serve, Self::Notifier, Self::Tracker, Self::Fulfiller, Self::Inbox, Self::Nats, Self::Postgres];

    /// As shown in front of log lines, and for roles as named on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Migrate => "migrate",
            Self::Serve => "serve",
            Self::Notifier => "notifier",
            Self::Tracker => "tracker",
            Self::Fulfiller => "fulfiller",
            Self::Inbox => "inbox",
            Self::Nats => "nats",
            Self::Postgres => "postgres",
        }
    }

    /// The signal for a graceful stop. PostgreSQL waits for all clients on SIGTERM; SIGINT is its fast shutdown (PostgreSQL
    /// manual, 19.5).
    fn stop_signal(self) -> Signal {
        if self == Self::Postgres { Signal::SIGINT } else { Signal::SIGTERM }
    }

    /// The signal for an immediate stop. PostgreSQL stops its own children on SIGQUIT.
    fn kill_signal(self) -> Signal {
        if self == Self::Postgres { Signal::SIGQUIT } else { Signal::SIGKILL }
    }
}

/// How to start a child.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Its name.
    pub name: Name,
    /// Path of the program.
    pub program: PathBuf,
    /// Without secrets: every user of the machine can read them.
    pub arguments: Vec<OsString>,
    /// Set for it, besides what it inherits.
    pub environment: Vec<(&'static str, OsString)>,
    /// Variables it doesn't inherit.
    pub hidden: &'static [&'static str],
    /// Whether it inherits nothing but PATH.
    pub clean: bool,
    /// Runs as this user.
    pub account: Option<Account>,
    /// Where it listens.
    pub places: Vec<Place>,
    /// The lock file of PostgreSQL, which says whether it is shutting down.
    pub lock_file: Option<PathBuf>,
    /// Whether a line of its output is shown.
    pub shown: fn(&str) -> bool,
}

impl Spec {
    /// Starts it in a process group of its own, so that Ctrl-C reaches only `catalogctl dev`, which
    /// then stops all children in order.
    fn spawn(&self, root: &Path, console: Console) -> anyhow::Result<(Child, Lines)> {
        let mut command = super::account::command(&self.program, root, self.account.as_ref());
        self.configure(&mut command, root);
        let mut child = command.spawn().with_context(|| format!("cannot run {}", self.program.display()))?;
        let lines = Lines::of(&mut child, self.name, self.shown, console);
        Ok((child, lines))
    }

    fn configure(&self, command: &mut Command, root: &Path) {
        if self.clean {
            command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        }
        for name in self.hidden {
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

    /// Runs it to its end.
    ///
    /// # Errors
    /// If it cannot be started or fails.
    pub async fn run(&self, root: &Path, console: Console) -> anyhow::Result<()> {
        let mut command = super::account::command(&self.program, root, self.account.as_ref());
        self.configure(&mut command, root);
        let mut child = command.kill_on_drop(true).spawn().with_context(|| format!("cannot run {}", self.program.display()))?;
        let lines = Lines::of(&mut child, self.name, self.shown, console);
        let status = child.wait().await?;
        let last = lines.last().await;
        if !status.success() {
            bail!("{} failed ({status}){last}", self.name.as_str());
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

/// Sends a signal. A process that has exited is no error.
fn send(pid: Pid, signal: Signal) -> anyhow::Result<()> {
    match kill(pid, signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot send {signal} to process {pid}")),
    }
}
