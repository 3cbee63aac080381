//! Child processes that cannot outlive the tests, not even tests that are killed with -9.
//!
//! The shell of a child process holds the reading end of a pipe, and only this process has the writing end. When this process
//! ends, the pipe is closed, and the shell ends the child. A shell is used because `PR_SET_PDEATHSIG` would need unsafe code.

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

/// Replaces the shell by the program, so that process id, exit status and signals are those of the program. A background watcher
/// kills the program if the pipe is closed before a line was written.
const GUARDED: &str = r#"exec 3<&0; ( { read -r _ <&3 || kill -KILL $$; } >/dev/null 2>&1 & ); exec "$@" </dev/null 3<&-"#;

/// Keeps the shell as the parent, prints the process id of the server, and can remove its directory afterwards.
const SERVER_PARENT: &str = r#"trap : INT TERM; signal=$1 remove=$2; shift 2
"$@" </dev/null >>output 2>&1 & server=$!; echo $server
read -r _; kill -s "$signal" $server; wait $server; [ -z "$remove" ] || rm -rf "$remove""#;

/// Returns a command that runs `program` and ends it when the command's standard input is closed.
pub fn guarded_command(program: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", GUARDED, "sh"]).arg(program).stdin(Stdio::piped());
    command
}

/// Stops the watcher after the child has ended, so that the watcher does not kill another process with the same id.
pub fn release(guard: Option<ChildStdin>) {
    if let Some(mut guard) = guard {
        let _ = guard.write_all(b"\n");
    }
}

/// How a server is run and ended.
pub struct ServerOptions<'a> {
    /// Working directory. The output of the server is appended to the file `output` in it.
    pub directory: &'a Path,
    /// Signal that ends the server at once: `KILL`, or `QUIT` for PostgreSQL, which then ends its child processes as well.
    pub signal: &'a str,
    /// Whether the directory is removed afterwards, for servers that are not started again.
    pub remove_directory: bool,
    /// User to run the server as, or `None` for the current user.
    pub user: Option<RunAs>,
}

/// A server that ends when this is dropped or this process ends.
pub struct Server {
    shell: Child,
    pid: Pid,
}

impl Server {
    /// Starts `program`.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn start(program: &Path, args: &[OsString], options: &ServerOptions) -> std::io::Result<Self> {
        let mut command = Command::new("sh");
        let removed = if options.remove_directory { options.directory.as_os_str() } else { OsStr::new("") };
        command.args(["-c", SERVER_PARENT, "sh", options.signal]).arg(removed).arg(program).args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).current_dir(options.directory);
        // Uses a separate process group, so that Ctrl-C reaches only the tests. The guard then ends the server.
        command.process_group(0);
        if let Some(user) = options.user {
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
        kill(self.pid, signal).expect("the server is running");
    }

    /// Whether the server has ended. (Its shell keeps the process entry until the guard is dropped.)
    pub fn has_ended(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        stat.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with('Z'))
    }

    /// Process id of the server.
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
