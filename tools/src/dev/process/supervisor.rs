//! Restarts a child when it exits.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::ExitStatus,
    time::{Duration, Instant},
};

use nix::{sys::signal::Signal, unistd::Pid};
use tokio::{process::Child, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{Console, Name, Spec, Startup, send};

/// Delay before the first restart; it doubles with each failure.
const MIN_BACKOFF: Duration = Duration::from_millis(100);
/// Longest delay before a restart.
const MAX_BACKOFF: Duration = Duration::from_secs(10);
/// Run time after which a start counts as successful, so that the backoff starts again at [`MIN_BACKOFF`].
const STABLE: Duration = Duration::from_secs(10);
/// Poll interval of PostgreSQL's lock file, for a shutdown that another process requested.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Line of PostgreSQL's lock file with its status, from 0; the first has its process id (`utils/pidfile.h`).
const STATUS_LINE: usize = 7;
/// Time after which a child is killed. Longer than the default of `SHUTDOWN_TIMEOUT`.
const STOP_TIMEOUT: Duration = Duration::from_secs(40);

/// The stop requests to the children, from Ctrl-C and SIGTERM.
#[derive(Clone, Default)]
pub struct Stopping {
    /// Cancelled when the shop stops; each child is then stopped in order.
    pub begun: CancellationToken,
    /// Cancelled to kill the children.
    pub kill: CancellationToken,
}

/// Keeps one child running in a task.
pub struct Supervisor {
    name: Name,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Supervisor {
    /// Starts the child. It runs in `root`, and `root/run/<name>.pid` holds its process id.
    pub fn start(spec: Spec, root: PathBuf, console: Console, stopping: Stopping, startup: Startup) -> Self {
        let stop = CancellationToken::new();
        let name = spec.name;
        let pid_file = root.join("run").join(format!("{}.pid", name.as_str()));
        let child = SupervisedChild { spec, root, pid_file, console, stop: stop.clone(), stopping, startup };
        Self { name, stop, task: tokio::spawn(child.supervise()) }
    }

    /// The name of the child.
    pub fn name(&self) -> Name {
        self.name
    }

    /// Stops the child and waits until it exits.
    pub async fn stop(self) {
        self.stop.cancel();
        let _ = self.task.await;
    }
}

struct SupervisedChild {
    spec: Spec,
    root: PathBuf,
    pid_file: PathBuf,
    console: Console,
    stop: CancellationToken,
    stopping: Stopping,
    startup: Startup,
}

impl SupervisedChild {
    async fn supervise(self) {
        let mut backoff = MIN_BACKOFF;
        while !self.stop.is_cancelled() {
            let started = Instant::now();
            let (end, last_lines) = self.run_once().await;
            if self.stop.is_cancelled() {
                break;
            }
            // The child has exited, so a conflict shows that another program uses the address.
            let conflict = self.spec.addresses.iter().find_map(|address| address.find_conflict());
            let name = self.spec.name.as_str();
            if !self.startup.is_complete() {
                let conflict = conflict.map(|conflict| format!(": {conflict}")).unwrap_or_default();
                self.startup.fail(format!("{name} {end} while the shop started{conflict}{last_lines}"));
                break;
            }
            if started.elapsed() >= STABLE {
                backoff = MIN_BACKOFF;
            }
            self.console.log(format!("{name} {end}; restarting in {backoff:?}"));
            if let Some(conflict) = conflict {
                self.console.log(conflict);
            }
            tokio::select! {
                () = tokio::time::sleep(backoff) => {}
                () = self.stop.cancelled() => break,
            }
            backoff = (backoff * 2).min(MAX_BACKOFF);
        }
    }

    /// Runs the child until it exits or is stopped, and returns how it exited and its last lines.
    async fn run_once(&self) -> (String, String) {
        let (mut child, lines) = match self.spec.spawn(&self.root, self.console) {
            Ok(spawned) => spawned,
            Err(error) => return (format!("did not start ({error:#})"), String::new()),
        };
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        if let Some(pid) = pid
            && let Err(error) = fs::write(&self.pid_file, format!("{pid}\n"))
        {
            self.console.log(format!("cannot write {}: {error}", self.pid_file.display()));
        }
        let ended = tokio::select! {
            ended = child.wait() => ended,
            () = self.stop.cancelled() => self.stop_child(&mut child, pid).await,
            () = self.wait_for_external_shutdown(pid) => self.stop_child(&mut child, pid).await,
        };
        let _ = fs::remove_file(&self.pid_file);
        let end = match ended {
            Ok(status) => describe(status),
            Err(error) => format!("could not be waited for ({error})"),
        };
        let last_lines = if self.startup.is_complete() { String::new() } else { lines.last().await };
        (end, last_lines)
    }

    /// Returns when another process has sent SIGTERM to PostgreSQL. PostgreSQL then rejects connections and waits for its clients
    /// to disconnect, but the clients of this shop never disconnect.
    async fn wait_for_external_shutdown(&self, pid: Option<Pid>) {
        let (Some(lock_file), Some(pid)) = (&self.spec.lock_file, pid) else { return std::future::pending().await };
        while self.stopping.begun.run_until_cancelled(tokio::time::sleep(POLL_INTERVAL)).await.is_some() {
            let lock = fs::read_to_string(lock_file).unwrap_or_default();
            let lines: Vec<_> = lock.lines().map(str::trim).collect();
            if lines.first() == Some(&pid.to_string().as_str()) && lines.get(STATUS_LINE) == Some(&"stopping") {
                self.console.log(format!("{} is shutting down and waits for its clients; stopping it", self.spec.name.as_str()));
                return;
            }
        }
        // The shop is stopping and stops this child in order.
        std::future::pending::<()>().await;
    }

    async fn stop_child(&self, child: &mut Child, pid: Option<Pid>) -> std::io::Result<ExitStatus> {
        if let Some(pid) = pid {
            self.signal(pid, self.spec.name.stop_signal());
            tokio::select! {
                ended = timeout(STOP_TIMEOUT, child.wait()) => match ended {
                    Ok(ended) => return ended,
                    Err(_) => self.console.log(format!("{} did not stop within {} s; killing it", self.spec.name.as_str(), STOP_TIMEOUT.as_secs())),
                },
                () = self.stopping.kill.cancelled() => {}
            }
            self.signal(pid, self.spec.name.kill_signal());
            if let Ok(ended) = timeout(Duration::from_secs(5), child.wait()).await {
                return ended;
            }
        }
        child.kill().await?;
        child.wait().await
    }

    fn signal(&self, pid: Pid, signal: Signal) {
        if let Err(error) = send(pid, signal) {
            self.console.log(format!("{error:#}"));
        }
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "exited".to_owned(),
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => {
            let name = Signal::try_from(signal).map_or_else(|_| signal.to_string(), |signal| signal.to_string());
            format!("was killed by {name}")
        }
        (None, None) => format!("exited ({status})"),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::super::ports, *};

    fn spec(script: &str) -> Spec {
        Spec {
            name: Name::Serve,
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: Vec::new(),
            removed_variables: &[],
            clear_environment: true,
            user: None,
            addresses: Vec::new(),
            lock_file: None,
            is_shown: |_| false,
        }
    }

    fn root() -> PathBuf {
        let root = std::env::temp_dir().join(format!("catalog-supervisor-{}-{}", std::process::id(), ports::find_free_port(&[]).unwrap()));
        fs::create_dir_all(root.join("run")).unwrap();
        root
    }

    fn complete() -> Startup {
        let startup = Startup::default();
        startup.complete().unwrap();
        startup
    }

    #[tokio::test]
    async fn a_child_that_is_killed_is_restarted() {
        let root = root();
        let supervisor = Supervisor::start(spec("exec tail -f /dev/null"), root.clone(), Console::new(), Stopping::default(), complete());
        let mut pids = Vec::new();
        for _ in 1..=3 {
            let pid = loop {
                let text = fs::read_to_string(root.join("run/serve.pid")).unwrap_or_default();
                if let Ok(pid) = text.trim().parse()
                    && !pids.contains(&pid)
                {
                    break pid;
                }
                tokio::task::yield_now().await;
            };
            pids.push(pid);
            send(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        }
        supervisor.stop().await;
        assert!(!root.join("run/serve.pid").exists());
        fs::remove_dir_all(&root).unwrap();
    }

    #[tokio::test]
    async fn a_child_that_ignores_sigterm_is_killed_on_the_second_stop_request() {
        let root = root();
        let stopping = Stopping::default();
        let script = "trap '' TERM; echo > run/trapped; while :; do read line < /dev/zero; done";
        let supervisor = Supervisor::start(spec(script), root.clone(), Console::new(), stopping.clone(), complete());
        while !root.join("run/trapped").exists() {
            tokio::task::yield_now().await;
        }
        stopping.kill.cancel();
        supervisor.stop().await;
        fs::remove_dir_all(&root).unwrap();
    }

    #[tokio::test]
    async fn a_child_that_exits_during_the_start_fails_it_with_its_last_lines() {
        let root = root();
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = other.local_addr().unwrap();
        let script = "i=0; while [ $i -lt 30 ]; do i=$((i+1)); echo line $i; done; exit 3";
        let spec = Spec { addresses: vec![ports::ListenAddress::configured("HTTP_ADDRESS", address)], ..spec(script) };
        let startup = Startup::default();
        let supervisor = Supervisor::start(spec, root.clone(), Console::new(), Stopping::default(), startup.clone());
        let cause = startup.failed().await.to_string();
        let conflict = format!("HTTP_ADDRESS={address} is in use by ");
        assert!(cause.starts_with(&format!("serve exited with code 3 while the shop started: {conflict}")), "{cause}");
        assert!(cause.ends_with("\n    line 29\n    line 30") && !cause.contains("line 20\n"), "{cause}");
        assert!(startup.complete().is_err());
        supervisor.stop().await;
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn exit_statuses_are_described() {
        assert_eq!(describe(ExitStatus::from_raw(9)), "was killed by SIGKILL");
        assert_eq!(describe(ExitStatus::from_raw(2 << 8)), "exited with code 2");
        assert_eq!(describe(ExitStatus::from_raw(0)), "exited");
    }
}
