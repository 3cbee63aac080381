//! Signing keys: a watched directory of PEM files, so that keys are rotated without a restart.
//!
//! Every key verifies from the moment it is seen. A new one signs only after everybody who fetches
//! our public keys has had time to see it too.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use jsonwebtoken::{DecodingKey, EncodingKey};
use p256::{
    SecretKey,
    elliptic_curve::{rand_core::OsRng, sec1::ToEncodedPoint},
    pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding},
};
use serde::Serialize;
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

/// How long a key is published before it signs.
pub const PUBLISHED_BEFORE_SIGNING: TimeDelta = TimeDelta::minutes(5);
/// How often the directory is read again.
const POLL_INTERVAL: Duration = Duration::from_secs(3);
/// A PEM file of a P-256 key has a few hundred bytes.
const MAX_FILE: u64 = 16 * 1024;
const NAME_FORMAT: &str = "%Y%m%dT%H%M%SZ";

/// Why there are no keys to sign with.
#[derive(Debug, Error)]
pub enum KeysError {
    /// The directory cannot be listed.
    #[error("AUTH_SIGNING_KEYS_DIR={dir:?} cannot be read: {source}")]
    Unreadable {
        /// The directory.
        dir: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The directory holds no key that can be used.
    #[error("AUTH_SIGNING_KEYS_DIR={dir:?} holds no usable key: give ES256 private keys named like 20261121T100000Z-name.pem{}", list(.ignored))]
    NoKey {
        /// The directory.
        dir: PathBuf,
        /// Files that were ignored, and why.
        ignored: BTreeMap<String, String>,
    },
}

fn list(ignored: &BTreeMap<String, String>) -> String {
    ignored.iter().map(|(file, why)| format!("; {file} {why}")).collect()
}

/// One private key with its public half.
#[derive(Clone)]
pub struct SigningKey {
    /// The file's name without `.pem`.
    pub kid: String,
    /// The time its name starts with.
    pub created_at: DateTime<Utc>,
    /// For signing.
    pub signing: EncodingKey,
    /// For verifying.
    pub verifying: DecodingKey,
    public: Jwk,
}

/// A public key (RFC 7517, RFC 7518 section 6.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Jwk {
    /// Key type.
    #[schema(example = "EC")]
    pub kty: &'static str,
    /// Curve.
    #[schema(example = "P-256")]
    pub crv: &'static str,
    /// Coordinate, base64url.
    pub x: String,
    /// Coordinate, base64url.
    pub y: String,
    /// What tokens name in their header.
    pub kid: String,
    /// Algorithm.
    #[schema(example = "ES256")]
    pub alg: &'static str,
    /// What the key is for.
    #[schema(example = "sig")]
    pub r#use: &'static str,
}

/// Every public key whose signatures are accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Jwks {
    /// Oldest first.
    pub keys: Vec<Jwk>,
}

/// The keys of one moment, oldest first.
#[derive(Default)]
pub struct KeyRing {
    keys: Vec<SigningKey>,
    ignored: BTreeMap<String, String>,
}

impl KeyRing {
    /// The key that signs at `now`: the newest that has been published long enough, else the oldest
    /// there is, which is the one most verifiers know.
    #[must_use]
    pub fn signer(&self, now: DateTime<Utc>) -> Option<&SigningKey> {
        self.keys.iter().rev().find(|key| key.created_at <= now - PUBLISHED_BEFORE_SIGNING).or(self.keys.first())
    }

    /// The key a token names.
    #[must_use]
    pub fn find(&self, kid: &str) -> Option<&SigningKey> {
        self.keys.iter().find(|key| key.kid == kid)
    }

    /// The public halves.
    #[must_use]
    pub fn public(&self) -> Jwks {
        Jwks { keys: self.keys.iter().map(|key| key.public.clone()).collect() }
    }

    fn read(dir: &Path) -> io::Result<Self> {
        let mut ring = Self::default();
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            // Kubernetes keeps the versions of a mounted Secret under names with dots in front.
            let Some(kid) = name.strip_suffix(".pem").filter(|_| !name.starts_with('.')) else { continue };
            match SigningKey::read(kid, &path) {
                Ok(key) => ring.keys.push(key),
                Err(why) => {
                    ring.ignored.insert(name.to_owned(), why);
                }
            }
        }
        ring.keys.sort_by(|a, b| (a.created_at, &a.kid).cmp(&(b.created_at, &b.kid)));
        Ok(ring)
    }

    fn kids(&self) -> Vec<&str> {
        self.keys.iter().map(|key| key.kid.as_str()).collect()
    }
}

impl SigningKey {
    fn read(kid: &str, path: &Path) -> Result<Self, String> {
        let created_at = creation_time(kid).ok_or("doesn't start with its creation time, as in 20261121T100000Z-name.pem")?;
        let mut text = String::new();
        fs::File::open(path)
            .and_then(|file| file.take(MAX_FILE).read_to_string(&mut text))
            .map_err(|error| format!("cannot be read: {error}"))?;
        let secret = parse(&text).ok_or("is not a private key on the curve P-256 in PEM form (PKCS #8 or SEC1)")?;
        Self::new(kid, created_at, &secret).map_err(|_| "cannot be encoded".to_owned())
    }

    fn new(kid: &str, created_at: DateTime<Utc>, secret: &SecretKey) -> Result<Self, p256::pkcs8::Error> {
        let point = secret.public_key().to_encoded_point(false);
        let coordinate = |bytes: Option<&p256::FieldBytes>| bytes.map(|bytes| BASE64_URL_SAFE_NO_PAD.encode(bytes)).unwrap_or_default();
        let (x, y) = (coordinate(point.x()), coordinate(point.y()));
        Ok(Self {
            kid: kid.to_owned(),
            created_at,
            signing: EncodingKey::from_ec_der(secret.to_pkcs8_der()?.as_bytes()),
            verifying: DecodingKey::from_ec_der(point.as_bytes()),
            public: Jwk { kty: "EC", crv: "P-256", x, y, kid: kid.to_owned(), alg: "ES256", r#use: "sig" },
        })
    }
}

fn creation_time(kid: &str) -> Option<DateTime<Utc>> {
    let time = kid.split('-').next().unwrap_or_default();
    NaiveDateTime::parse_from_str(time, NAME_FORMAT).ok().map(|time| time.and_utc())
}

fn parse(text: &str) -> Option<SecretKey> {
    // `openssl ecparam -genkey` puts the curve's parameters in front of a SEC1 key.
    let sec1 = text.find("-----BEGIN EC PRIVATE KEY-----").map(|at| &text[at..]);
    match sec1 {
        Some(sec1) => SecretKey::from_sec1_pem(sec1).ok(),
        None => SecretKey::from_pkcs8_pem(text).ok(),
    }
}

/// The keys in use, kept up to date by [`SigningKeys::watch`]. Cheap to clone.
#[derive(Clone)]
pub struct SigningKeys {
    dir: Arc<Path>,
    current: Arc<ArcSwap<KeyRing>>,
}

impl SigningKeys {
    /// Reads the directory. Broken files are logged and ignored.
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

    /// The keys of this moment.
    #[must_use]
    pub fn current(&self) -> Arc<KeyRing> {
        self.current.load_full()
    }

    /// Reads the directory again every few seconds until `stop`.
    pub async fn watch(&self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(POLL_INTERVAL)).await.is_some() {
            let keys = self.clone();
            if let Err(error) = tokio::task::spawn_blocking(move || keys.reread()).await {
                tracing::error!(%error, "reading the signing keys failed");
            }
        }
    }

    /// Reads the directory again. If it cannot be read or holds no usable key, the keys at hand stay
    /// in use: a slip in a rotation must not sign everybody out.
    fn reread(&self) {
        let before = self.current();
        let mut ring = KeyRing::read(&self.dir).unwrap_or_else(|error| KeyRing {
            keys: Vec::new(),
            ignored: BTreeMap::from([("the directory".to_owned(), format!("cannot be read: {error}"))]),
        });
        log_ignored(&before, &ring);
        if ring.keys.is_empty() {
            ring.keys.clone_from(&before.keys);
        }
        if ring.kids() != before.kids() {
            tracing::info!(kids = ?ring.kids(), "signing keys changed");
        }
        self.current.store(Arc::new(ring));
    }
}

/// Logs each reason once, not every few seconds.
fn log_ignored(before: &KeyRing, after: &KeyRing) {
    for (file, why) in &after.ignored {
        if before.ignored.get(file) != Some(why) {
            tracing::warn!("AUTH_SIGNING_KEYS_DIR: {file} is ignored: it {why}");
        }
    }
}

/// Writes a new key into `dir`, readable by this user only, and gives its path.
///
/// # Errors
/// If the file cannot be written.
pub fn generate(dir: &Path, now: DateTime<Utc>) -> io::Result<PathBuf> {
    let secret = SecretKey::random(&mut OsRng);
    let pem = secret.to_pkcs8_pem(LineEnding::LF).map_err(io::Error::other)?;
    let name = format!("{}-{:08x}.pem", now.format(NAME_FORMAT), rand::random::<u32>());
    let (unfinished, path) = (dir.join(format!(".{name}")), dir.join(name));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.write_all(pem.as_bytes())?;
    file.sync_all()?;
    // Whoever watches the directory sees the whole key or none.
    fs::rename(&unfinished, &path)?;
    Ok(path)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A key made at `created_at`.
    pub fn key(kid: &str, created_at: DateTime<Utc>) -> SigningKey {
        SigningKey::new(kid, created_at, &SecretKey::random(&mut OsRng)).unwrap()
    }

    /// A ring of keys.
    pub fn ring(mut keys: Vec<SigningKey>) -> KeyRing {
        keys.sort_by_key(|key| key.created_at);
        KeyRing { keys, ignored: BTreeMap::new() }
    }

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
    fn a_new_key_is_published_at_once_and_signs_five_minutes_later() {
        let keys = ring(vec![key("old", at(-3600)), key("new", at(0))]);
        assert_eq!(keys.public().keys.len(), 2);
        assert_eq!(keys.signer(at(0)).unwrap().kid, "old");
        assert_eq!(keys.signer(at(299)).unwrap().kid, "old");
        assert_eq!(keys.signer(at(300)).unwrap().kid, "new");
    }

    #[test]
    fn the_first_keys_of_an_installation_sign_at_once() {
        let keys = ring(vec![key("b", at(10)), key("a", at(0))]);
        assert_eq!(keys.signer(at(20)).unwrap().kid, "a");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_key_signs_early_while_another_may(ages in proptest::collection::vec(-1000_i64..1000, 1..6)) {
            let secret = SecretKey::random(&mut OsRng);
            let keys = ring(ages.iter().map(|age| SigningKey::new(&age.to_string(), at(-age), &secret).unwrap()).collect());
            let signer: i64 = keys.signer(at(0)).unwrap().kid.parse().unwrap();
            let ripe = ages.iter().copied().filter(|age| *age >= 300).min();
            prop_assert_eq!(Some(signer), ripe.or(ages.iter().copied().max()));
        }
    }

    #[test]
    fn generated_keys_are_read_back_and_are_nobody_elses_to_read() {
        use std::os::unix::fs::PermissionsExt;
        let dir = Dir::new();
        let path = generate(&dir.0, at(0)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let keys = SigningKeys::open(&dir.0).unwrap().current();
        assert_eq!(keys.keys[0].created_at, at(0));
        assert_eq!(path.file_stem().unwrap().to_str().unwrap(), keys.keys[0].kid);
    }

    #[test]
    fn sec1_keys_are_read_with_and_without_curve_parameters() {
        let secret = SecretKey::random(&mut OsRng);
        let sec1 = secret.to_sec1_pem(LineEnding::LF).unwrap();
        let with_parameters = format!("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{}", sec1.as_str());
        assert_eq!(parse(&sec1).unwrap(), secret);
        assert_eq!(parse(&with_parameters).unwrap(), secret);
    }

    #[test]
    fn files_are_read_through_the_symlinks_of_a_mounted_secret() {
        let dir = Dir::new();
        let version = dir.0.join("..2026_11_21");
        fs::create_dir(&version).unwrap();
        let key = generate(&version, at(0)).unwrap();
        std::os::unix::fs::symlink("..2026_11_21", dir.0.join("..data")).unwrap();
        let name = key.file_name().unwrap();
        std::os::unix::fs::symlink(Path::new("..data").join(name), dir.0.join(name)).unwrap();
        assert_eq!(SigningKeys::open(&dir.0).unwrap().current().keys.len(), 1);
    }

    #[test]
    fn broken_files_are_ignored_but_an_empty_directory_names_the_setting_and_every_reason() {
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
        generate(&dir.0, at(0)).unwrap();
        assert_eq!(SigningKeys::open(&dir.0).unwrap().current().keys.len(), 1);
    }

    #[test]
    fn rotation_is_noticed_and_an_emptied_directory_keeps_the_keys_at_hand() {
        let dir = Dir::new();
        let first = generate(&dir.0, at(0)).unwrap();
        let keys = SigningKeys::open(&dir.0).unwrap();
        let second = generate(&dir.0, at(1)).unwrap();
        keys.reread();
        assert_eq!(keys.current().keys.len(), 2);
        fs::remove_file(first).unwrap();
        keys.reread();
        assert_eq!(keys.current().keys.len(), 1);
        fs::remove_file(second).unwrap();
        keys.reread();
        assert_eq!(keys.current().keys.len(), 1);
        fs::remove_dir(&dir.0).unwrap();
        keys.reread();
        assert_eq!(keys.current().keys.len(), 1);
    }
}
