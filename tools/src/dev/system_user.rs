//! The user that PostgreSQL runs as, because it doesn't start as root.

use std::{ffi::OsStr, path::Path, process::Stdio};

use anyhow::{Context, bail};
use nix::unistd::{Uid, User};
use tokio::process::Command;

/// Users to try, in this order.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// A user of this machine.
#[derive(Debug, Clone)]
pub struct SystemUser {
    /// Login name.
    pub name: String,
    uid: u32,
    gid: u32,
}

impl SystemUser {
    /// Returns the user for PostgreSQL, or `None` if this process doesn't run as root.
    ///
    /// # Errors
    /// If this process runs as root and the machine has no other user for PostgreSQL.
    pub fn for_postgres() -> anyhow::Result<Option<Self>> {
        if !Uid::effective().is_root() {
            return Ok(None);
        }
        for name in CANDIDATES {
            let user = User::from_name(name).with_context(|| format!("cannot look up the user {name}"))?;
            if let Some(user) = user.filter(|user| !user.uid.is_root()) {
                return Ok(Some(Self { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw() }));
            }
        }
        bail!("PostgreSQL doesn't run as root, and this machine has no user `postgres` or `nobody`: add one, or run as another user")
    }

    /// Checks that this user can access a directory, which isn't the case below the home directory of root.
    ///
    /// # Errors
    /// If it cannot.
    pub async fn check_access(&self, directory: &Path) -> anyhow::Result<()> {
        let reached = command("/bin/true", directory, Some(self)).stdin(Stdio::null()).status().await;
        if !reached.is_ok_and(|status| status.success()) {
            bail!(
                "PostgreSQL runs as {}, because it doesn't run as root, but that user cannot access {}: choose another --data-dir, \
                 such as /var/lib/catalog-shop",
                self.name,
                directory.display()
            );
        }
        Ok(())
    }

    /// Makes this user the owner of a file or directory.
    ///
    /// # Errors
    /// If the owner cannot be changed.
    pub fn chown(&self, path: &Path) -> anyhow::Result<()> {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))
            .with_context(|| format!("cannot change the owner of {} to {}", path.display(), self.name))
    }
}

/// Returns a command that runs in `directory` as `user`, or as the user of this process if `user` is `None`.
///
/// With a user, the standard library drops the supplementary groups of root as well.
pub fn command(program: impl AsRef<OsStr>, directory: &Path, user: Option<&SystemUser>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory);
    if let Some(user) = user {
        command.uid(user.uid).gid(user.gid);
    }
    command
}
