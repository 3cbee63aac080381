//! Containers without an engine: a read-only root with the files of an image, an unprivileged user, and a PID namespace. They
//! share the network of the machine.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::{
    sys::signal::{self, Signal},
    unistd::{Pid, geteuid},
};

use crate::{
    image::Image,
    process::{Environment, Process},
};

/// `$1` is the root, `$2` the PATH inside, `$3` the user and group if the tests run as root; then pairs of directories on the
/// machine and in the container up to `--`, then the command.
const INSIDE: &str = r#"set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin root=$1 path=$2 user=$3; shift 3
mount --bind "$root" "$root"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
while [ "$1" != -- ]; do mount --bind "$1" "$root$2"; shift 2; done; shift
mount -o remount,bind,ro "$root"
chroot=$(command -v chroot)
PATH=$path exec "$chroot" ${user:+--userspec="$user" --groups=} "$root" "$@""#;

/// Specification of a container.
pub struct Container<'a> {
    image: &'a Image,
    user: (u32, u32),
    environment: Environment,
    volumes: Vec<(PathBuf, String)>,
}

impl<'a> Container<'a> {
    /// Specifies a container of an image, with the environment of the image, that runs as a user and group.
    pub fn new(image: &'a Image, user: (u32, u32)) -> Self {
        Self { image, user, environment: image.environment().into_iter().collect(), volumes: Vec::new() }
    }

    /// Whether this machine allows containers: for root nearly always, for other users if user namespaces are allowed. Tests are
    /// skipped otherwise.
    pub fn possible() -> bool {
        let mut command = Command::new("unshare");
        command.args(namespaces((65532, 65532))).args(["mount", "-t", "proc", "proc", "/proc"]);
        let possible = command.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        if !possible {
            eprintln!("skipped: this machine doesn't allow containers; run the tests as root, or enable user namespaces");
        }
        possible
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn setting(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// Mounts a directory of this machine at `path`.
    #[must_use]
    pub fn volume(mut self, directory: &Path, path: &str) -> Self {
        self.volumes.push((directory.to_owned(), path.to_owned()));
        self
    }

    /// Starts the entrypoint with these arguments, or with the arguments of the image if there are none.
    pub fn start(self, args: &[&str]) -> Process {
        let mut command = self.image.words("Entrypoint");
        if args.is_empty() {
            command.extend(self.image.words("Cmd"));
        }
        command.extend(args.iter().map(|&arg| arg.to_owned()));
        self.start_command(&command)
    }

    /// Starts a command instead of the entrypoint.
    ///
    /// # Panics
    /// If the mount points cannot be made.
    pub fn start_command(mut self, command: &[String]) -> Process {
        let root = self.image.root();
        let volumes = self.volumes.iter().map(|(_, path)| path.as_str()).filter(|path| !path.starts_with("/dev/"));
        for path in ["/dev", "/proc"].into_iter().chain(volumes) {
            fs::create_dir_all(root.join(path.trim_start_matches('/'))).expect("a mount point can be made");
        }
        let path = self.environment.remove("PATH").unwrap_or_default();
        let (uid, gid) = self.user;
        let user = if geteuid().is_root() { format!("{uid}:{gid}") } else { String::new() };
        let mut args = namespaces(self.user);
        args.extend(["sh", "-c", INSIDE, "sh"].map(str::to_owned));
        args.extend([root.display().to_string(), path, user]);
        args.extend(self.volumes.iter().flat_map(|(here, there)| [here.display().to_string(), there.clone()]));
        args.push("--".to_owned());
        args.extend_from_slice(command);
        Process::of(Path::new("unshare"), &args, &self.environment, &command.join(" "))
    }
}

/// Kills all processes of a container, and waits until they have ended.
///
/// # Panics
/// If the processes don't end in time.
pub async fn kill(container: &mut Process) {
    kill_inside(container.pid());
    container.ended().await;
}

/// Kills the first process in the container of an unshare(1) process. The kernel then kills all others.
///
/// `--kill-child` is not enough, because the setting is lost when the process changes its user.
pub fn kill_inside(pid: u32) {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    for first in children.split_whitespace().filter_map(|child| child.parse().ok()) {
        let _ = signal::kill(Pid::from_raw(first), Signal::SIGKILL);
    }
}

/// Arguments of unshare(1). Without root, a user namespace maps the user and keeps the capabilities for mounting.
fn namespaces((uid, gid): (u32, u32)) -> Vec<String> {
    let mut args = ["--mount", "--pid", "--ipc", "--fork", "--kill-child"].map(str::to_owned).to_vec();
    if !geteuid().is_root() {
        args.extend(["--user".into(), format!("--map-user={uid}"), format!("--map-group={gid}"), "--keep-caps".into()]);
    }
    args
}
