//! Files of the keys that sign access tokens. The operator and `catalogctl` generate them, and `catalog` reads them.
//!
//! A file has a name such as `20261121T100000Z-1a2b3c.pem`, and contains an ES256 private key.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use p256::{
    SecretKey,
    elliptic_curve::zeroize::Zeroizing,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding},
};
use rand::{CryptoRng, RngExt};
use thiserror::Error;

/// Maximum size of a file, in bytes. A PEM file of a P-256 key has a few hundred.
pub const MAX_SIZE: usize = 16 * 1024;

const EXTENSION: &str = ".pem";

/// A key that was read from its file.
#[derive(Debug, Clone)]
pub struct KeyFile {
    /// The key.
    pub secret: SecretKey,
    /// Creation time, from the name of the file.
    pub created_at: SystemTime,
}

/// Why the content of a file is not a usable key. The text completes a sentence that starts with the name of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidKey {
    /// The name has no creation time.
    #[error("doesn't start with its creation time, as in 20261121T100000Z-name.pem")]
    Undated,
    /// The file is larger than [`MAX_SIZE`].
    #[error("is larger than {MAX_SIZE} bytes")]
    TooLarge,
    /// The content is something else.
    #[error("is not a private key on the curve P-256 in PEM form (PKCS #8 or SEC1)")]
    NotAKey,
}

/// Returns the key id that the file of this name has: its name without the extension. `None` if it is not the name of a key, such as
/// that of the directories in which Kubernetes stores the versions of a mounted Secret.
#[must_use]
pub fn key_id(name: &str) -> Option<&str> {
    name.strip_suffix(EXTENSION).filter(|_| !name.starts_with('.'))
}

/// Reads a key from the name and the content of its file.
///
/// # Errors
/// If the name has no creation time, or the content is not a private key on the curve P-256.
pub fn read(name: &str, content: &[u8]) -> Result<KeyFile, InvalidKey> {
    let created_at = created_at(name).ok_or(InvalidKey::Undated)?;
    if content.len() > MAX_SIZE {
        return Err(InvalidKey::TooLarge);
    }
    let secret = std::str::from_utf8(content).ok().and_then(parse).ok_or(InvalidKey::NotAKey)?;
    Ok(KeyFile { secret, created_at })
}

/// Generates a key, and returns the name and the content of its file.
pub fn generate(created_at: SystemTime, rng: &mut impl CryptoRng) -> (String, Zeroizing<String>) {
    let suffix = rng.random_range(0..0x0100_0000_u32);
    // RFC 3339 without its separators, as in 20261121T100000Z.
    let time = humantime::format_rfc3339_seconds(created_at).to_string().replace(['-', ':'], "");
    loop {
        let mut scalar = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *scalar);
        // Nearly every number is a valid key, but not all are (SEC 1, section 3.2.1).
        let pem = SecretKey::from_slice(&*scalar).ok().and_then(|key| key.to_pkcs8_pem(LineEnding::LF).ok());
        if let Some(pem) = pem {
            return (format!("{time}-{suffix:06x}{EXTENSION}"), pem);
        }
    }
}

/// Generates a key, writes it into `directory`, readable only by this user, and returns its path.
///
/// # Errors
/// If the file cannot be written.
pub fn create_file(directory: &Path, created_at: SystemTime) -> io::Result<PathBuf> {
    let (name, pem) = generate(created_at, &mut rand::rng());
    let (unfinished, path) = (directory.join(format!(".{name}")), directory.join(name));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.write_all(pem.as_bytes())?;
    file.sync_all()?;
    // Renamed when complete, so that processes that poll the directory never read a partial key.
    fs::rename(&unfinished, &path)?;
    Ok(path)
}

fn created_at(name: &str) -> Option<SystemTime> {
    let time = key_id(name)?.split('-').next()?;
    let (date, time) = time.strip_suffix('Z')?.split_once('T')?;
    if [date, time].concat().contains(|c: char| !c.is_ascii_digit()) || (date.len(), time.len()) != (8, 6) {
        return None;
    }
    let (year, month, day) = (&date[..4], &date[4..6], &date[6..]);
    let (hour, minute, second) = (&time[..2], &time[2..4], &time[4..]);
    humantime::parse_rfc3339(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z")).ok()
}

fn parse(text: &str) -> Option<SecretKey> {
    // `openssl ecparam -genkey` puts the curve's parameters in front of a SEC1 key.
    match text.find("-----BEGIN EC PRIVATE KEY-----") {
        Some(start) => SecretKey::from_sec1_pem(&text[start..]).ok(),
        None => SecretKey::from_pkcs8_pem(text).ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    const NAME: &str = "20261121T100000Z-a.pem";

    fn at(text: &str) -> SystemTime {
        humantime::parse_rfc3339(text).unwrap()
    }

    fn generated() -> (String, Zeroizing<String>) {
        generate(at("2026-11-21T10:00:00Z"), &mut StdRng::seed_from_u64(7))
    }

    #[test]
    fn the_name_of_a_generated_key_has_its_creation_time_and_the_content_is_pkcs8() {
        let (name, pem) = generated();
        assert!(name.starts_with("20261121T100000Z-") && name.len() == "20261121T100000Z-aaaaaa.pem".len(), "{name}");
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"));
        assert_eq!(read(&name, pem.as_bytes()).unwrap().created_at, at("2026-11-21T10:00:00Z"));
    }

    #[test]
    fn names_without_a_valid_creation_time_are_rejected() {
        let (_, pem) = generated();
        let undated =
            ["undated.pem", "20261341T100000Z-a.pem", "2026112T1000000Z-a.pem", "20261121T100000-a.pem", "2026-11-21T10:00:00Z.pem"];
        for name in undated {
            assert_eq!(read(name, pem.as_bytes()).unwrap_err(), InvalidKey::Undated, "{name}");
        }
        assert_eq!(read("20261121T100000Z.pem", pem.as_bytes()).unwrap().created_at, at("2026-11-21T10:00:00Z"), "the suffix is optional");
    }

    #[test]
    fn other_files_have_no_key_id() {
        assert_eq!(key_id(NAME), Some("20261121T100000Z-a"));
        assert_eq!([key_id("README"), key_id("..2026_11_21.pem")], [None, None]);
    }

    #[test]
    fn sec1_keys_are_read_with_and_without_curve_parameters() {
        let secret = read(NAME, generated().1.as_bytes()).unwrap().secret;
        let sec1 = secret.to_sec1_pem(LineEnding::LF).unwrap();
        let with_parameters = format!("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{}", sec1.as_str());
        assert_eq!(read(NAME, sec1.as_bytes()).unwrap().secret, secret);
        assert_eq!(read(NAME, with_parameters.as_bytes()).unwrap().secret, secret);
    }

    #[test]
    fn content_larger_than_the_limit_is_rejected() {
        let content = generated().1.as_bytes().iter().copied().chain(std::iter::repeat_n(b'\n', MAX_SIZE)).collect::<Vec<_>>();
        assert_eq!(read(NAME, &content).unwrap_err(), InvalidKey::TooLarge);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn truncated_keys_are_rejected(length in 0..240_usize) {
            let (_, pem) = generated();
            prop_assume!(length < pem.trim_end().len());
            prop_assert_eq!(read(NAME, &pem.as_bytes()[..length]).unwrap_err(), InvalidKey::NotAKey);
        }

        #[test]
        fn every_generated_key_can_be_read(seconds in 0..4_102_444_800_u64, seed: u64) {
            let created_at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let (name, pem) = generate(created_at, &mut StdRng::seed_from_u64(seed));
            prop_assert_eq!(read(&name, pem.as_bytes()).unwrap().created_at, created_at);
        }
    }
}
