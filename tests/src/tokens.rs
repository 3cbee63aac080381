//! Signing keys, and valid and forged tokens.

use std::path::{Path, PathBuf};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use p256::{
    SecretKey,
    pkcs8::{EncodePrivateKey, LineEnding},
};
use rand::RngExt;
use serde_json::Value;

/// Writes a new ES256 key with the creation time `created_at` into a directory, and returns its path.
///
/// # Panics
/// If the directory cannot be written.
pub fn new_key(directory: &Path, created_at: DateTime<Utc>, name: &str) -> PathBuf {
    // Nearly every random number is a valid key.
    let secret: [u8; 32] = rand::rng().random();
    let key = SecretKey::from_slice(&secret).expect("a random number is a valid key");
    let pem = key.to_pkcs8_pem(LineEnding::LF).expect("a key has a PEM form");
    let path = directory.join(format!("{}-{name}.pem", created_at.format("%Y%m%dT%H%M%SZ")));
    // Renamed, so that no process reads a partial key.
    let partial = directory.join(format!(".{name}"));
    std::fs::write(&partial, pem.as_bytes()).expect("the key directory can be written");
    std::fs::rename(&partial, &path).expect("the key directory can be written");
    path
}

/// Returns the path of the only key in a directory.
///
/// # Panics
/// If the directory has no key.
pub fn only_key(directory: &Path) -> PathBuf {
    let entries = std::fs::read_dir(directory).expect("the key directory can be read").map(|entry| entry.expect("an entry").path());
    entries.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "pem")).expect("a key")
}

/// Returns header and claims of a token, unverified.
///
/// # Panics
/// If the text isn't a token.
pub fn read(token: &str) -> (Value, Value) {
    let mut parts = token.split('.').map(|part| BASE64_URL_SAFE_NO_PAD.decode(part).unwrap_or_default());
    let mut next = || serde_json::from_slice(&parts.next().expect("three parts")).expect("JSON");
    (next(), next())
}

/// Signs claims with the key in a file, under the key id of another token's header.
///
/// # Panics
/// If the key can't be read.
pub fn sign(key: &Path, header: &Value, claims: &Value) -> String {
    let pem = std::fs::read(key).expect("the key can be read");
    let key = EncodingKey::from_ec_pem(&pem).expect("an EC key");
    let mut signed = Header::new(Algorithm::ES256);
    signed.kid = header["kid"].as_str().map(str::to_owned);
    signed.typ = header["typ"].as_str().map(str::to_owned);
    encode(&signed, claims, &key).expect("claims can be signed")
}

/// Returns a token with any header, claims and signature.
pub fn forge(header: &Value, claims: &Value, signature: &[u8]) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{}", part(header), part(claims), BASE64_URL_SAFE_NO_PAD.encode(signature))
}
