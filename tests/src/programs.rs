//! Paths of the programs under test and of the servers they need.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use nix::unistd::{User, geteuid};
use serde::Deserialize;

/// The servers that a shop needs.
#[derive(Debug, Clone, Deserialize)]
pub struct Programs {
    /// Directory of `initdb`, `postgres`, `pgbench`.
    pub postgres_bin: PathBuf,
    /// The `nats-server` binary.
    pub nats_server: PathBuf,
    /// The user of PostgreSQL, if the tests run as root.
    #[serde(default)]
    pub run_as: Option<String>,
}

/// The user and group to run a server as.
#[derive(Debug, Clone, Copy)]
pub struct RunAs {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// Returns the path of `catalog-operator` of the same build.
pub fn catalog_operator() -> PathBuf {
    match std::env::var_os("CATALOG_TEST_BINARY") {
        Some(given) => PathBuf::from(given).with_file_name("catalog-operator"),
        None => beside("catalog-operator"),
    }
}

/// Returns the path of `catalog` of the same build, in the parent of the directory of the test executable.
pub fn catalog() -> &'static Path {
    static CATALOG: OnceLock<PathBuf> = OnceLock::new();
    CATALOG.get_or_init(|| match std::env::var_os("CATALOG_TEST_BINARY") {
        Some(given) => given.into(),
        None => beside("catalog"),
    })
}

/// Returns the path of `catalogctl` of the same build.
pub fn catalogctl() -> PathBuf {
    catalog().with_file_name("catalogctl")
}

/// Returns the path of a program of the same build as the tests.
///
/// # Panics
/// If the program isn't built.
pub fn beside(name: &str) -> PathBuf {
    let executable = std::env::current_exe().expect("the test executable has a path");
    let directory = executable.parent().expect("an executable lies in a directory");
    let profile = if directory.ends_with("deps") { directory.parent().unwrap_or(directory) } else { directory };
    let binary = profile.join(name);
    assert!(binary.is_file(), "{} is missing: build it with `cargo build -p {name}`, or run `make test`", binary.display());
    binary
}

/// Returns the servers: from the environment, otherwise those that `catalogctl dev` would use.
pub fn servers() -> &'static Programs {
    static SERVERS: OnceLock<Programs> = OnceLock::new();
    SERVERS.get_or_init(|| {
        let postgres = std::env::var_os("CATALOG_TEST_POSTGRES_BIN").map(PathBuf::from);
        let nats = std::env::var_os("CATALOG_TEST_NATS_SERVER").map(PathBuf::from);
        match (postgres, nats) {
            (Some(postgres_bin), Some(nats_server)) => Programs { postgres_bin, nats_server, run_as: None },
            (postgres, nats) => {
                let mut found = query_catalogctl();
                found.postgres_bin = postgres.unwrap_or(found.postgres_bin);
                found.nats_server = nats.unwrap_or(found.nats_server);
                found
            }
        }
    })
}

fn query_catalogctl() -> Programs {
    let output = Command::new(catalogctl()).args(["dev", "--print-programs"]).output().expect("catalogctl can be run");
    let advice = "set CATALOG_TEST_POSTGRES_BIN (a directory) and CATALOG_TEST_NATS_SERVER (a file) to use your own";
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`catalogctl dev --print-programs` failed; {advice}\n{errors}");
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("`catalogctl dev --print-programs` printed something else ({error}); {advice}"))
}

impl Programs {
    /// Returns the path of a program of PostgreSQL.
    pub fn postgres(&self, name: &str) -> PathBuf {
        self.postgres_bin.join(name)
    }

    /// Returns the user of PostgreSQL, if it is not the current one.
    pub fn postgres_user(&self) -> Option<RunAs> {
        if !geteuid().is_root() {
            return None;
        }
        let mut candidates = self.run_as.as_deref().into_iter().chain(["postgres", "nobody"]);
        let user = candidates.find_map(|name| User::from_name(name).ok().flatten());
        let user = user.expect("PostgreSQL doesn't run as root, and this machine has no user postgres or nobody; add one");
        Some(RunAs { uid: user.uid.as_raw(), gid: user.gid.as_raw() })
    }
}
