//! The data directory, with everything that is kept between runs.
//!
//! ```text
//! lock              id of the process that uses the directory
//! memory.json       the saved state: ports and completed one-time steps
//! secrets/          generated passwords, one file each
//! keys/             signing keys
//! postgres-<major>/ PostgreSQL's data, per major version
//! nats/             JetStream's data and nats-server's configuration
//! inbox/            received mail
//! run/              process ids
//! ```

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use rand::RngExt;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::ports::Ports;

/// Characters of a generated password: 143 bits of 62 letters and digits.
const PASSWORD_LENGTH: usize = 24;
const POSTGRES_PREFIX: &str = "postgres-";

/// State that is saved in `memory.json` for the next run. Renaming the file or its fields would make existing shops lose their
/// ports and repeat the one-time steps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedState {
    /// Ports of the last run.
    pub ports: Ports,
    /// Major version of the PostgreSQL that created the data.
    pub postgres_major: Option<u32>,
    /// Currency of the catalogue.
    pub currency: Option<String>,
    /// Whether the superuser's password was configured. If so, it isn't printed.
    #[serde(rename = "own_password")]
    pub password_configured: bool,
    /// Whether the second admin exists.
    pub editor: bool,
    /// Whether the sample products have been loaded.
    pub samples: bool,
}

/// An open data directory, locked until it is dropped or the process ends.
#[derive(Debug)]
pub struct DataDirectory {
    root: PathBuf,
    _lock: File,
}

impl DataDirectory {
    /// Creates the directory if it is missing, and locks it.
    ///
    /// # Errors
    /// If it cannot be created, or another `catalogctl dev` uses it.
    pub fn open(root: &Path) -> anyhow::Result<Self> {
        let context = || format!("cannot use CATALOG_DATA_DIR={}", root.display());
        fs::create_dir_all(root).with_context(context)?;
        let root = root.canonicalize().with_context(context)?;
        let mut lock =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(root.join("lock")).with_context(context)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                lock.read_to_string(&mut pid)?;
                bail!("another catalogctl dev (process {}) uses {}: stop it, or choose another --data-dir", pid.trim(), root.display());
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(context),
        }
        lock.set_len(0)?;
        writeln!(lock, "{}", std::process::id())?;
        let directory = Self { root, _lock: lock };
        for private in [directory.secrets(), directory.keys(), directory.nats(), directory.inbox()] {
            create_private(&private)?;
        }
        fs::create_dir_all(directory.run())?;
        Ok(directory)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    pub fn nats(&self) -> PathBuf {
        self.root.join("nats")
    }

    pub fn inbox(&self) -> PathBuf {
        self.root.join("inbox")
    }

    /// Returns the directory of process ids.
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// Returns the data directory of a major version of PostgreSQL.
    pub fn postgres(&self, major: u32) -> PathBuf {
        self.root.join(format!("{POSTGRES_PREFIX}{major}"))
    }

    fn secrets(&self) -> PathBuf {
        self.root.join("secrets")
    }

    /// Returns the major version of the existing PostgreSQL data: the version of the last run if its data exist, otherwise the newest.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn existing_postgres(&self, last: Option<u32>) -> anyhow::Result<Option<u32>> {
        if let Some(major) = last.filter(|major| self.postgres(*major).exists()) {
            return Ok(Some(major));
        }
        let mut newest = None;
        for entry in fs::read_dir(&self.root)? {
            let name = entry?.file_name();
            let major = name.to_str().and_then(|name| name.strip_prefix(POSTGRES_PREFIX)?.parse().ok());
            newest = newest.max(major);
        }
        Ok(newest)
    }

    /// Loads the state of the last run, or the default.
    ///
    /// # Errors
    /// If the file cannot be read or is damaged.
    pub fn load_state(&self) -> anyhow::Result<SavedState> {
        read_json(&self.root.join("memory.json"))
    }

    /// Saves the state for the next run.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save_state(&self, state: &SavedState) -> anyhow::Result<()> {
        let path = self.root.join("memory.json");
        write(&path, &serde_json::to_vec_pretty(state)?, 0o644).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Returns the secret with this name. Generates it if it is missing.
    ///
    /// # Errors
    /// If its file cannot be read or written.
    pub fn secret(&self, name: &str) -> anyhow::Result<SecretString> {
        let path = self.secrets().join(name);
        if path.exists() {
            let secret = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            return Ok(secret.trim_end().to_owned().into());
        }
        let secret = generate_password().into();
        self.save_secret(name, &secret)?;
        Ok(secret)
    }

    /// Saves a secret for the next run.
    ///
    /// # Errors
    /// If its file cannot be written.
    pub fn save_secret(&self, name: &str, secret: &SecretString) -> anyhow::Result<()> {
        let path = self.secrets().join(name);
        write(&path, secret.expose_secret().as_bytes(), 0o600).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Writes a file atomically, by writing another one and renaming it.
///
/// # Errors
/// If it cannot be written.
pub fn write(path: &Path, content: &[u8], mode: u32) -> std::io::Result<()> {
    let unfinished = path.with_added_extension("new");
    if let Err(error) = fs::remove_file(&unfinished)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = OpenOptions::new().create_new(true).write(true).mode(mode).open(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(unfinished, path)
}

fn create_private(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    let context = || format!("cannot create {}", path.display());
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).with_context(context)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).with_context(context)
}

fn read_json<T: DeserializeOwned + Default>(path: &Path) -> anyhow::Result<T> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged: delete it and start again", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn generate_password() -> String {
    let mut rng = rand::rng();
    (0..PASSWORD_LENGTH).map(|_| char::from(rng.sample(rand::distr::Alphanumeric))).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn temporary(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("catalog-{name}-{}", std::process::id()))
    }

    #[test]
    fn a_data_directory_is_used_by_one_process_at_a_time() {
        let root = temporary("lock");
        let held = DataDirectory::open(&root).unwrap();
        let error = DataDirectory::open(&root).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        drop(held);
        DataDirectory::open(&root).unwrap();
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn secrets_are_generated_once_kept_private_and_replaced_by_configured_ones() {
        let root = temporary("secrets");
        let directory = DataDirectory::open(&root).unwrap();
        let first = directory.secret("nats").unwrap();
        assert_eq!(first.expose_secret().len(), PASSWORD_LENGTH);
        assert_eq!(directory.secret("nats").unwrap().expose_secret(), first.expose_secret());
        let mode = fs::metadata(root.join("secrets/nats")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        directory.save_secret("nats", &"given".into()).unwrap();
        assert_eq!(directory.secret("nats").unwrap().expose_secret(), "given");
        assert_ne!(directory.secret("other").unwrap().expose_secret(), first.expose_secret());
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn the_data_of_the_last_run_is_preferred_to_newer_data() {
        let root = temporary("majors");
        let directory = DataDirectory::open(&root).unwrap();
        assert_eq!(directory.existing_postgres(None).unwrap(), None);
        assert_eq!(directory.existing_postgres(Some(15)).unwrap(), None);
        for major in [15, 18] {
            fs::create_dir(directory.postgres(major)).unwrap();
        }
        fs::create_dir(root.join("postgres-19.new")).unwrap();
        assert_eq!(directory.existing_postgres(None).unwrap(), Some(18));
        assert_eq!(directory.existing_postgres(Some(15)).unwrap(), Some(15));
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn the_state_of_a_run_is_loaded_by_the_next() {
        let root = temporary("state");
        let directory = DataDirectory::open(&root).unwrap();
        assert_eq!(directory.load_state().unwrap(), SavedState::default());
        let state = SavedState { samples: true, postgres_major: Some(15), ..SavedState::default() };
        directory.save_state(&state).unwrap();
        assert_eq!(directory.load_state().unwrap(), state);
        fs::remove_dir_all(&root).unwrap();
    }
}
