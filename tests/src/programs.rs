//! Where the programs under test and beside it are.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use nix::unistd::{User, geteuid};
use serde::Deserialize;

/// The servers the shop needs.
#[derive(Debug, Clone, Deserialize)]
pub struct Programs {
    /// Directory of `initdb`, `postgres`, `pgbench`.
    pub postgres_bin: PathBuf,
    /// The `nats-server` binary.
    pub nats_server: PathBuf,
    /// Who PostgreSQL runs as, where it would refuse to run as the user of the tests (root).
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

/// The `catalog-operator` binary of the same build.
pub fn catalog_operator() -> PathBuf {
    match std::env::var_os("CATALOG_TEST_BINARY") {
        Some(given) => PathBuf::from(given).with_file_name("catalog-operator"),
        None => beside("catalog-operator"),
    }
}

/// The `catalog` binary of the same build: it lies beside the directory of the test executable.
pub fn catalog() -> &'static Path {
    static CATALOG: OnceLock<PathBuf> = OnceLock::new();
    CATALOG.get_or_init(|| match std::env::var_os("CATALOG_TEST_BINARY") {
        Some(given) => given.into(),
        None => beside("catalog"),
    })
}

/// The `catalogctl` binary of the same build.
pub fn catalogctl() -> PathBuf {
    catalog().with_file_name("catalogctl")
}

/// A program of the same build as the tests.
///
/// # Panics
/// If it isn't built.
pub fn beside(name: &str) -> PathBuf {
    let executable = std::env::current_exe().expect("the test executable has a path");
    let directory = executable.parent().expect("an executable lies in a directory");
    let profile = if directory.ends_with("deps") { directory.parent().unwrap_or(directory) } else { directory };
    let binary = profile.join(name);
    assert!(binary.is_file(), "{} is missing: build it with `cargo build -p {name}`, or run `make test`", binary.display());
    binary
}

/// The servers: from the environment, otherwise what `catalogctl dev` itself would use.
pub fn servers() -> &'static Programs {
    static SERVERS: OnceLock<Programs> = OnceLock::new();
    SERVERS.get_or_init(|| {
        let postgres = std::env::var_os("CATALOG_TEST_POSTGRES_BIN").map(PathBuf::from);
        let nats = std::env::var_os("CATALOG_TEST_NATS_SERVER").map(PathBuf::from);
        match (postgres, nats) {
            (Some(postgres_bin), Some(nats_server)) => Programs { postgres_bin, nats_server, run_as: None },
            (postgres, nats) => {
                let mut found = asked();
                found.postgres_bin = postgres.unwrap_or(found.postgres_bin);
                found.nats_server = nats.unwrap_or(found.nats_server);
                found
            }
        }
    })
}

fn asked() -> Programs {
    let output = Command::new(catalogctl()).args(["dev", "--print-programs"]).output().expect("catalogctl can be run");
    let advice = "set CATALOG_TEST_POSTGRES_BIN (a directory) and CATALOG_TEST_NATS_SERVER (a file) to use your own";
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`catalogctl dev --print-programs` failed; {advice}\n{errors}");
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("`catalogctl dev --print-programs` printed something else ({error}); {advice}"))
}

impl Programs {
    /// A program of PostgreSQL.
    pub fn postgres(&self, name: &str) -> PathBuf {
        self.postgres_bin.join(name)
    }

    /// Who PostgreSQL must run as, if not as ourselves.
    pub fn postgres_user(&self) -> Option<RunAs> {
        if !geteuid().is_root() {
            return None;
        }
        let mut candidates = self.run_as.as_deref().into_iter().chain(["postgres", "nobody"]);
        let user = candidates.find_map(|name| User::from_name(name).ok().flatten());
        let user = user.expect("PostgreSQL refuses root, and there is no user postgres or nobody to run it as");
        Some(RunAs { uid: user.uid.as_raw(), gid: user.gid.as_raw() })
    }
}
