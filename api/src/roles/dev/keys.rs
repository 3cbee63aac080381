//! The first signing key.

use std::{fs, path::Path};

use anyhow::Context;
use chrono::{DateTime, Utc};
use p256::{
    SecretKey,
    pkcs8::{EncodePrivateKey, LineEnding},
};
use rand::RngExt;

use super::directory;

/// Makes a signing key (ES256, PKCS #8) unless the directory has one. Its name starts with its
/// creation time, as `AUTH_SIGNING_KEYS_DIR` wants it.
///
/// # Errors
/// If the directory cannot be read or written.
pub fn ensure(keys: &Path, now: DateTime<Utc>) -> anyhow::Result<()> {
    for entry in fs::read_dir(keys).with_context(|| format!("cannot read {}", keys.display()))? {
        if entry?.path().extension().is_some_and(|extension| extension == "pem") {
            return Ok(());
        }
    }
    let path = keys.join(format!("{}-dev.pem", now.format("%Y%m%dT%H%M%SZ")));
    let pem = generate().to_pkcs8_pem(LineEnding::LF).context("cannot write down a signing key")?;
    directory::write(&path, pem.as_bytes(), 0o600).with_context(|| format!("cannot write {}", path.display()))
}

fn generate() -> SecretKey {
    let mut rng = rand::rng();
    loop {
        // All but about one in 2^32 numbers of this size are keys.
        if let Ok(key) = SecretKey::from_bytes(&rng.random::<[u8; 32]>().into()) {
            return key;
        }
    }
}

#[cfg(test)]
mod tests {
    use p256::pkcs8::DecodePrivateKey;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_can_be_read() {
        let keys = std::env::temp_dir().join(format!("catalog-keys-{}", std::process::id()));
        fs::create_dir_all(&keys).unwrap();
        let now = "2026-11-21T10:00:00Z".parse().unwrap();
        ensure(&keys, now).unwrap();
        ensure(&keys, now + chrono::TimeDelta::days(1)).unwrap();
        assert_eq!(fs::read_dir(&keys).unwrap().count(), 1);
        let pem = fs::read_to_string(keys.join("20261121T100000Z-dev.pem")).unwrap();
        SecretKey::from_pkcs8_pem(&pem).unwrap();
        fs::remove_dir_all(&keys).unwrap();
    }
}
