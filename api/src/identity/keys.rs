//! Signing keys: a watched directory of PEM files, so that keys are rotated without a restart.
//!
//! Every key verifies tokens as soon as it is read. A new key signs tokens only after clients that cache the public keys have had
//! time to fetch it.

pub(super) mod ring;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

pub use ring::{Jwks, KeyRing};

/// Poll interval of the directory.
const POLL_INTERVAL: Duration = Duration::from_secs(3);

/// Why no signing keys could be read.
#[derive(Debug, Error)]
pub enum KeysError {
    /// The directory cannot be listed.
    #[error("AUTH_SIGNING_KEYS_DIR={dir:?} cannot be read: {source}")]
    Unreadable {
        /// The directory.
        dir: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The directory contains no usable key.
    #[error("AUTH_SIGNING_KEYS_DIR={dir:?} holds no usable key: give ES256 private keys named like 20261121T100000Z-name.pem{}", list(.ignored))]
    NoKey {
        /// The directory.
        dir: PathBuf,
        /// Ignored files, each with the reason.
        ignored: BTreeMap<String, String>,
    },
}

fn list(ignored: &BTreeMap<String, String>) -> String {
    ignored.iter().fold(String::new(), |text, (file, why)| text + "; " + file + " " + why)
}

/// The keys in use, kept up to date by [`SigningKeys::watch`]. Cheap to clone.
#[derive(Clone)]
pub struct SigningKeys {
    dir: Arc<Path>,
    current: Arc<ArcSwap<KeyRing>>,
}

impl SigningKeys {
    /// Reads the directory. Invalid files are logged and ignored.
    ///
    /// # Errors
    /// If the directory cannot be listed, or no file in it is a usable key.
    pub fn open(dir: &Path) -> Result<Self, KeysError> {
        let ring = KeyRing::read(dir).map_err(|source| KeysError::Unreadable { dir: dir.to_owned(), source })?;
        log_ignored(&KeyRing::default(), &ring);
        if ring.keys.is_empty() {
            return Err(KeysError::NoKey { dir: dir.to_owned(), ignored: ring.ignored });
        }
        Ok(Self { dir: dir.into(), current: Arc::new(ArcSwap::from_pointee(ring)) })
    }

    /// Returns the current keys.
    #[must_use]
    pub fn current(&self) -> Arc<KeyRing> {
        self.current.load_full()
    }

    /// Polls the directory until `stop`.
    pub async fn watch(&self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(POLL_INTERVAL)).await.is_some() {
            let keys = self.clone();
            if let Err(error) = tokio::task::spawn_blocking(move || keys.reload()).await {
                tracing::error!(%error, "signing key reload failed; retrying");
            }
        }
    }

    /// Reloads the directory. If it cannot be read or has no usable key, the current keys stay in use, and a loaded key whose file is
    /// damaged still verifies tokens: a mistake in a rotation must not sign users out.
    fn reload(&self) {
        let before = self.current();
        let mut ring = KeyRing::read(&self.dir).unwrap_or_else(|error| KeyRing {
            ignored: BTreeMap::from([("the directory".to_owned(), format!("cannot be read: {error}"))]),
            ..KeyRing::default()
        });
        log_ignored(&before, &ring);
        ring.keep_damaged(&before);
        if ring.keys.is_empty() {
            ring.keys.clone_from(&before.keys);
        }
        if ring.kids() != before.kids() {
            tracing::info!(kids = ?ring.kids(), "signing keys changed");
        }
        // Replacing the ring clears its cache of verified tokens, so replace it only if it has changed.
        if ring.public() != before.public() || ring.ignored != before.ignored {
            self.current.store(Arc::new(ring));
        }
    }
}

/// Logs the ignored files that are new or have a new reason, so that each is logged only once.
fn log_ignored(before: &KeyRing, after: &KeyRing) {
    for (file, why) in &after.ignored {
        if before.ignored.get(file) != Some(why) {
            tracing::warn!(setting = "AUTH_SIGNING_KEYS_DIR", file, reason = why, "signing key ignored");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use catalog_signing_keys::create_file;
    use chrono::{DateTime, Utc};

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    struct Dir(PathBuf);

    impl Dir {
        fn new() -> Self {
            let dir = std::env::temp_dir().join(format!("catalog-keys-{}", uuid::Uuid::now_v7()));
            fs::create_dir(&dir).unwrap();
            Self(dir)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn generated_keys_can_be_loaded_and_only_their_owner_can_read_them() {
        use std::os::unix::fs::PermissionsExt;
        let dir = Dir::new();
        let path = create_file(&dir.0, at(0).into()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let keys = SigningKeys::open(&dir.0).unwrap().current();
        assert_eq!(keys.keys[0].created_at, at(0));
        assert_eq!(path.file_stem().unwrap().to_str().unwrap(), keys.keys[0].kid);
    }

    #[test]
    fn files_are_read_through_the_symlinks_of_a_mounted_secret() {
        let dir = Dir::new();
        let version = dir.0.join("..2026_11_21");
        fs::create_dir(&version).unwrap();
        let key = create_file(&version, at(0).into()).unwrap();
        std::os::unix::fs::symlink("..2026_11_21", dir.0.join("..data")).unwrap();
        let name = key.file_name().unwrap();
        std::os::unix::fs::symlink(Path::new("..data").join(name), dir.0.join(name)).unwrap();
        assert_eq!(SigningKeys::open(&dir.0).unwrap().current().keys.len(), 1);
    }

    #[test]
    fn invalid_files_are_ignored_and_without_any_key_the_error_names_the_setting_and_every_reason() {
        let dir = Dir::new();
        fs::write(dir.0.join("20261121T100000Z-a.pem"), "nonsense").unwrap();
        fs::write(dir.0.join("undated.pem"), "nonsense").unwrap();
        fs::write(dir.0.join("README"), "not a key").unwrap();
        let Err(error) = SigningKeys::open(&dir.0) else { panic!("opened") };
        let text = error.to_string();
        for part in ["AUTH_SIGNING_KEYS_DIR", "20261121T100000Z-a.pem is not a private key", "undated.pem doesn't start with"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("README"), "{text}");
        create_file(&dir.0, at(0).into()).unwrap();
        assert_eq!(SigningKeys::open(&dir.0).unwrap().current().keys.len(), 1);
    }

    #[test]
    fn a_key_whose_file_is_damaged_verifies_tokens_until_the_file_is_removed_and_does_not_sign() {
        let dir = Dir::new();
        let (first, second) = (create_file(&dir.0, at(0).into()).unwrap(), create_file(&dir.0, at(10).into()).unwrap());
        let keys = SigningKeys::open(&dir.0).unwrap();
        let kid = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
        let signer = || keys.current().signer(at(1000)).unwrap().kid.clone();
        assert_eq!(signer(), kid(&second));
        let pem = fs::read(&second).unwrap();
        fs::write(&second, "damaged").unwrap();
        keys.reload();
        assert!(keys.current().find(&kid(&second)).is_some());
        assert_eq!(signer(), kid(&first));
        fs::write(&first, "damaged").unwrap();
        keys.reload();
        assert_eq!(signer(), kid(&second), "a damaged key signs if there is no other");
        fs::write(&second, &pem).unwrap();
        keys.reload();
        assert_eq!(signer(), kid(&second));
        fs::remove_file(&first).unwrap();
        keys.reload();
        assert_eq!(keys.current().kids(), [kid(&second)]);
    }

    #[test]
    fn rotated_keys_are_reloaded_and_the_last_keys_stay_in_use_if_the_directory_is_emptied() {
        let dir = Dir::new();
        let first = create_file(&dir.0, at(0).into()).unwrap();
        let keys = SigningKeys::open(&dir.0).unwrap();
        let second = create_file(&dir.0, at(1).into()).unwrap();
        keys.reload();
        assert_eq!(keys.current().keys.len(), 2);
        fs::remove_file(first).unwrap();
        keys.reload();
        assert_eq!(keys.current().keys.len(), 1);
        fs::remove_file(second).unwrap();
        keys.reload();
        assert_eq!(keys.current().keys.len(), 1);
        fs::remove_dir(&dir.0).unwrap();
        keys.reload();
        assert_eq!(keys.current().keys.len(), 1);
    }
}
