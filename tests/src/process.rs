//! One running `catalog` process.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fmt,
    net::SocketAddr,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, ExitStatus, Stdio},
};

use nix::{
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        signal::{Signal, kill},
    },
    unistd::Pid,
};
use serde_json::Value;

use crate::{container, log::Log, process_guard, programs, wait};

/// The long-running roles of a shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
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
}

impl Role {
    /// The subcommand.
    pub fn command(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Notifier => "notifier",
            Self::Tracker => "tracker",
            Self::Fulfiller => "fulfiller",
            Self::Inbox => "inbox",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.command())
    }
}

/// Settings as environment variables.
pub type Environment = BTreeMap<String, String>;

/// One child process with its log.
pub struct Process {
    child: Child,
    log: Log,
    name: String,
}

impl Process {
    /// Starts `catalog` with these arguments and only these settings.
    pub fn start(args: &[&str], environment: &Environment) -> Self {
        Self::of(programs::catalog(), args, environment, &format!("catalog {}", args.join(" ")))
    }

    /// Starts `catalogctl` with these arguments and only these settings.
    pub fn tool(args: &[&str], environment: &Environment) -> Self {
        Self::of(&programs::catalogctl(), args, environment, &format!("catalogctl {}", args.join(" ")))
    }

    /// Starts a role with only these settings.
    pub fn role(role: Role, environment: &Environment) -> Self {
        match role {
            Role::Inbox => Self::tool(&[role.command()], environment),
            _ => Self::start(&[role.command()], environment),
        }
    }

    /// Starts another program with these arguments and only these settings. `name` is for reports.
    pub fn of(program: &Path, args: &[impl AsRef<OsStr>], environment: &Environment, name: &str) -> Self {
        let mut command = process_guard::guarded_command(program);
        command.args(args).env_clear().stdout(Stdio::piped()).stderr(Stdio::piped());
        // The paths of programs and temporary files, and the coverage file of an instrumented build.
        let inherited = std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "TMPDIR" || name == "LLVM_PROFILE_FILE");
        let mut child = command.envs(inherited).envs(environment).spawn().expect("the program can be started");
        let log = Log::default();
        log.collect(child.stderr.take().expect("standard error is piped"));
        log.collect(child.stdout.take().expect("standard output is piped"));
        Self { child, log, name: name.to_owned() }
    }

    /// The log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the CPU seconds that the process has used, with a resolution of 10 ms.
    ///
    /// # Panics
    /// If the process has ended.
    pub fn cpu_seconds(&self) -> f64 {
        cpu_seconds(self.pid())
    }

    /// Reads the address of a setting such as `HTTP_ADDRESS` from the log.
    ///
    /// # Panics
    /// If the process doesn't listen in time.
    pub async fn address(&self, setting: &str) -> SocketAddr {
        let is_wanted = |entry: &Value| entry["message"] == "listening" && entry["setting"] == setting;
        self.log
            .find(&format!("{setting} listening"), |entry| if is_wanted(entry) { entry["address"].as_str()?.parse().ok() } else { None })
            .await
    }

    /// Waits until `/readyz` is successful.
    ///
    /// # Panics
    /// If the process ends or isn't ready in time; the message has the log.
    pub async fn ready(&mut self) {
        let ops = self.address("OPS_ADDRESS").await;
        let what = format!("`{}` is ready", self.name);
        let running = wait::eventually(&what, async || {
            if !self.is_running() {
                // A process that has ended cannot become ready.
                return Ok(false);
            }
            let response = reqwest::get(format!("http://{ops}/readyz")).await.map_err(|error| error.to_string())?;
            let (status, text) = (response.status(), response.text().await.unwrap_or_default());
            wait::check(status.is_success(), || text).map(|()| true)
        })
        .await;
        assert!(running, "the process ended before it was ready:\n{}", self.report());
    }

    /// Kills the process.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        process_guard::release(self.child.stdin.take());
    }

    /// Sends SIGTERM, so that it drains and stops.
    pub fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().expect("a process id"));
        kill(pid, signal).expect("the process is running");
    }

    /// Waits until the process ends.
    ///
    /// # Panics
    /// If the process doesn't end in time.
    pub async fn ended(&mut self) -> ExitStatus {
        let what = format!("`{}` ends", self.name);
        let status = wait::eventually(&what, async || {
            let ended = self.child.try_wait().expect("a child can be waited for");
            ended.ok_or_else(|| format!("the process is running; last log line: {}", self.log.lines().pop().unwrap_or_default()))
        })
        .await;
        process_guard::release(self.child.stdin.take());
        self.log.complete().await;
        status
    }

    /// Whether the process is running.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Returns the state and the log of the process, for the report of a failed test.
    pub fn report(&mut self) -> String {
        let end = match self.child.try_wait() {
            Ok(Some(status)) => match status.signal() {
                Some(signal) => format!("ended by signal {signal}"),
                None => format!("exit status {}", status.code().unwrap_or_default()),
            },
            _ => "running".to_owned(),
        };
        format!("──── {} (pid {}, {end})\n{}\n", self.name, self.child.id(), self.log.lines().join("\n"))
    }
}

/// Returns the CPU seconds that a process has used (proc(5): `utime` and `stime`, in hundredths of a second on Linux).
///
/// # Panics
/// If there is no such process.
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is running");
    // The first field after the name in parentheses is field 3.
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |field: usize| fields.get(field - 3).and_then(|ticks| ticks.parse::<f64>().ok()).expect("a number of ticks");
    (ticks(14) + ticks(15)) / 100.0
}

/// Returns the peak memory of a process in MiB (proc(5): `VmHWM`).
///
/// # Panics
/// If there is no such process.
pub fn peak_memory(pid: u32) -> f64 {
    memory_field(pid, "VmHWM:")
}

/// Returns the memory of a process in MiB (proc(5): `VmRSS`).
///
/// # Panics
/// If there is no such process.
pub fn memory(pid: u32) -> f64 {
    memory_field(pid, "VmRSS:")
}

fn memory_field(pid: u32, name: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is running");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a size");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("kibibytes") / 1024.0
}

/// Raises the limit of open files of this process, up to the hard limit.
///
/// # Panics
/// If the limits cannot be read.
pub fn raise_open_file_limit(files: u64) {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    if soft < files {
        setrlimit(Resource::RLIMIT_NOFILE, files.min(hard), hard).expect("up to the hard limit");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An instrumented build writes its coverage only when it exits normally.
        if std::env::var_os("LLVM_PROFILE_FILE").is_some() && self.is_running() {
            self.terminate();
            let _ = self.child.wait();
        }
        if std::fs::read_link(format!("/proc/{}/exe", self.pid())).is_ok_and(|program| program.ends_with("unshare")) {
            container::kill_inside(self.pid());
        }
        self.kill();
    }
}
