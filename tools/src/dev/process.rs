//! The processes of `catalogctl dev`: started, watched, started again, stopped.

mod keeper;
mod lines;
mod orphans;
mod startup;

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

pub use keeper::{Keeper, Stopping};
pub use orphans::stop_orphans;
pub use startup::Startup;

use lines::Lines;

use super::{account::Account, console::Console, ports::Place};

/// Marks a child in its environment with who it is and whose: `notifier@/var/lib/catalog`. So the
/// children of a run that was killed are found, whatever happened to their files of process ids.
const MARK: &str = "CATALOG_DEV_CHILD";

/// Who is who, in the order in which they are stopped.
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

    /// What asks it to stop. PostgreSQL's SIGTERM would wait for every client to leave; its SIGINT
    /// is the fast shutdown (PostgreSQL manual, 19.5).
    fn stop_signal(self) -> Signal {
        if self == Self::Postgres { Signal::SIGINT } else { Signal::SIGTERM }
    }

    /// What ends it at once. PostgreSQL's SIGQUIT takes its own children along.
    fn kill_signal(self) -> Signal {
        if self == Self::Postgres { Signal::SIGQUIT } else { Signal::SIGKILL }
    }
}

/// How to start a child.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Who it will be.
    pub name: Name,
    /// Path of the program.
    pub program: PathBuf,
    /// Never with secrets: every user of the machine can read them.
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
    /// Its lock file, if it is a PostgreSQL: it says whether somebody has asked it to stop.
    pub lock_file: Option<PathBuf>,
    /// Which of its lines are worth showing.
    pub shown: fn(&str) -> bool,
}

impl Spec {
    /// Starts it in a process group of its own, so that Ctrl-C reaches `catalogctl dev` alone, which
    /// then stops all in order.
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

/// Sends a signal. A process that is gone needs none.
fn send(pid: Pid, signal: Signal) -> anyhow::Result<()> {
    match kill(pid, signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot send {signal} to process {pid}")),
    }
}
