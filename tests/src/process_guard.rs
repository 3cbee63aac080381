//! Child processes that cannot outlive the tests, not even tests that are killed with -9.
//!
//! A child's shell holds the reading end of a pipe whose writing end only this process has. When
//! the pipe closes, this process is gone, and the shell ends the child. Line by line in `sh`,
//! because `PR_SET_PDEATHSIG` would need unsafe code.

use std::{
    ffi::{OsStr, OsString},
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::programs::RunAs;

/// The program takes the shell's place, so that the child's id, exit status and signals are its own;
/// a watcher on the side kills it unless it reads a line first.
const IN_PLACE: &str = r#"exec 3<&0; ( { read -r _ <&3 || kill -KILL $$; } >/dev/null 2>&1 & ); exec "$@" </dev/null 3<&-"#;

/// The shell stays as the parent, prints the id of the server, and may remove its directory after it.
const AS_PARENT: &str = r#"trap : INT TERM; signal=$1 remove=$2; shift 2
"$@" </dev/null >>output 2>&1 & server=$!; echo $server
read -r _; kill -s "$signal" $server; wait $server; [ -z "$remove" ] || rm -rf "$remove""#;

/// A command that runs `program` in the shell's place. Its standard input must be kept as the leash.
pub fn in_place(program: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", IN_PLACE, "sh"]).arg(program).stdin(Stdio::piped());
    command
}

/// Tells the watcher that the child has ended, so that it must not kill whoever gets its id next.
pub fn let_go(leash: Option<ChildStdin>) {
    if let Some(mut leash) = leash {
        let _ = leash.write_all(b"\n");
    }
}

/// How a server runs and ends.
pub struct Keeping<'a> {
    /// Where it runs; its output is appended to the file `output` there.
    pub directory: &'a Path,
    /// What ends it at once: `KILL`, or `QUIT` for PostgreSQL, which then takes its own children along.
    pub signal: &'a str,
    /// Whether the directory goes with it, which is for servers that are never started again.
    pub removed_after: bool,
    /// Who runs it, if not ourselves.
    pub user: Option<RunAs>,
}

/// A server that ends when this is dropped or this process dies.
pub struct Server {
    shell: Child,
    pid: Pid,
}

impl Server {
    /// Starts `program`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(program: &Path, args: &[OsString], keeping: &Keeping) -> std::io::Result<Self> {
        let mut command = Command::new("sh");
        let removed = if keeping.removed_after { keeping.directory.as_os_str() } else { OsStr::new("") };
        command.args(["-c", AS_PARENT, "sh", keeping.signal]).arg(removed).arg(program).args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).current_dir(keeping.directory);
        // A group of its own: Ctrl-C is for the tests, and the leash then ends the server.
        command.process_group(0);
        if let Some(user) = keeping.user {
            command.uid(user.uid).gid(user.gid);
        }
        let mut shell = command.spawn()?;
        let stdout = shell.stdout.take().ok_or_else(|| std::io::Error::other("no standard output"))?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let pid = line.trim().parse().map_err(|_| std::io::Error::other(format!("{} did not start", program.display())))?;
        Ok(Self { shell, pid: Pid::from_raw(pid) })
    }

    /// Sends a signal to the server itself.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid, signal).expect("the server is there to be signalled");
    }

    /// Whether the server has ended (its shell keeps its entry until the leash is let go).
    pub fn has_ended(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        stat.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with('Z'))
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
