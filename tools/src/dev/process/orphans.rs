//! Stops the child processes that a killed run has left behind.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt, path::Path, time::Duration};

use anyhow::bail;
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

use super::{Console, MARK, Name, mark, send};

/// Time after which an orphan is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(40);
/// Time after which a killed process counts as stuck in the kernel.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);
/// Poll interval for the end of an orphan. This process cannot wait for an orphan, because it is not its child.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Stops the processes of earlier runs in this data directory, in order. The directory is locked, so every process with a
/// mark of this directory is an orphan.
///
/// # Errors
/// If a process cannot be stopped.
pub async fn stop_orphans(root: &Path, console: Console) -> anyhow::Result<()> {
    for name in Name::CHILDREN {
        for pid in find_marked(name, root) {
            console.log(format!("stopping {} (process {pid}), an orphan of a run that was killed", name.as_str()));
            send(pid, name.stop_signal())?;
            if exits_within(pid, STOP_TIMEOUT).await {
                continue;
            }
            send(pid, name.kill_signal())?;
            if !exits_within(pid, KILL_TIMEOUT).await {
                bail!("{} (process {pid}) from an earlier run cannot be stopped", name.as_str());
            }
        }
    }
    Ok(())
}

/// Returns the processes with the mark of a child, without their own children, which inherit the mark.
fn find_marked(name: Name, root: &Path) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids: Vec<i32> = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let mark = mark(name, root);
    let found: Vec<i32> = pids.into_iter().filter(|pid| has_mark(*pid, &mark) && is_alive(*pid)).collect();
    found.iter().filter(|pid| parent(**pid).is_none_or(|parent| !found.contains(&parent))).copied().map(Pid::from_raw).collect()
}

fn has_mark(pid: i32, mark: &OsStr) -> bool {
    // The environment of other users' processes cannot be read, but none of them is an orphan.
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| {
        let value = variable.strip_prefix(MARK.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
        value.is_some_and(|value| value == mark.as_bytes())
    })
}

async fn exits_within(pid: Pid, timeout: Duration) -> bool {
    let deadline = Instant::now() + timeout;
    while is_alive(pid.as_raw()) {
        if Instant::now() >= deadline {
            return false;
        }
        sleep(POLL_INTERVAL).await;
    }
    true
}

/// Whether a process exists and is not a zombie.
fn is_alive(pid: i32) -> bool {
    status(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

fn parent(pid: i32) -> Option<i32> {
    status(pid).map(|(_, parent)| parent)
}

/// Reads state and parent (`proc_pid_stat(5)`, fields 3 and 4, after the name in parentheses).
fn status(pid: i32) -> Option<(char, i32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[tokio::test]
    async fn only_orphans_of_this_directory_are_stopped() {
        let root = std::env::temp_dir().join(format!("catalog-orphans-{}", std::process::id()));
        let start = |mark| {
            let mut command = Command::new("tail");
            command.args(["-f", "/dev/null"]).env(MARK, mark).stdin(Stdio::null()).spawn().unwrap()
        };
        let mut orphan = start(mark(Name::Tracker, &root));
        let mut other = start(mark(Name::Tracker, &root.join("other")));
        stop_orphans(&root, Console::new()).await.unwrap();
        assert!(orphan.try_wait().unwrap().is_some());
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
