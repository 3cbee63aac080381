//! The loaded signing keys: reading their files, choosing the key that signs, and publishing the public keys.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::Path,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use catalog_signing_keys::{KeyFile, MAX_SIZE, key_id};
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{DecodingKey, EncodingKey};
use p256::{SecretKey, elliptic_curve::sec1::ToEncodedPoint, pkcs8::EncodePrivateKey};
use serde::Serialize;
use utoipa::ToSchema;

use crate::identity::claims::Verified;

/// How long a key is published before it signs.
const PUBLISHED_BEFORE_SIGNING: TimeDelta = TimeDelta::minutes(5);

/// A private key with its public key.
#[derive(Clone)]
pub struct SigningKey {
    /// Key id: the file name without `.pem`.
    pub kid: String,
    /// Creation time, from the file name.
    pub created_at: DateTime<Utc>,
    /// Signs tokens.
    pub signing: EncodingKey,
    /// Verifies tokens.
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
    /// Key id, which tokens name in their header.
    pub kid: String,
    /// Algorithm.
    #[schema(example = "ES256")]
    pub alg: &'static str,
    /// Use of the key: signatures.
    #[schema(example = "sig")]
    pub r#use: &'static str,
}

/// Every public key whose signatures are accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Jwks {
    /// Oldest first.
    pub keys: Vec<Jwk>,
}

/// All usable keys of the directory, oldest first.
#[derive(Default)]
pub struct KeyRing {
    pub(super) keys: Vec<SigningKey>,
    /// Ignored files, each with the reason.
    pub(super) ignored: BTreeMap<String, String>,
    /// Cache of tokens whose signature these keys have verified.
    pub verified: Verified,
}

impl KeyRing {
    /// Returns the key that signs at `now`: the newest key that has been published long enough, otherwise the oldest key, which
    /// most verifiers have fetched.
    #[must_use]
    pub fn signer(&self, now: DateTime<Utc>) -> Option<&SigningKey> {
        self.keys.iter().rev().find(|key| key.created_at <= now - PUBLISHED_BEFORE_SIGNING).or(self.keys.first())
    }

    /// Finds a key by the key id in the header of a token.
    #[must_use]
    pub fn find(&self, kid: &str) -> Option<&SigningKey> {
        self.keys.iter().find(|key| key.kid == kid)
    }

    /// Returns the public keys.
    #[must_use]
    pub fn public(&self) -> Jwks {
        Jwks { keys: self.keys.iter().map(|key| key.public.clone()).collect() }
    }

    pub(super) fn read(dir: &Path) -> io::Result<Self> {
        let mut ring = Self::default();
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let Some(kid) = key_id(name) else { continue };
            match SigningKey::read(kid, name, &path) {
                Ok(key) => ring.keys.push(key),
                Err(why) => {
                    ring.ignored.insert(name.to_owned(), why);
                }
            }
        }
        ring.keys.sort_by(|a, b| (a.created_at, &a.kid).cmp(&(b.created_at, &b.kid)));
        Ok(ring)
    }

    pub(super) fn kids(&self) -> Vec<&str> {
        self.keys.iter().map(|key| key.kid.as_str()).collect()
    }
}

impl SigningKey {
    fn read(kid: &str, name: &str, path: &Path) -> Result<Self, String> {
        let mut content = Vec::new();
        let more_than_allowed = u64::try_from(MAX_SIZE + 1).unwrap_or(u64::MAX);
        fs::File::open(path)
            .and_then(|file| file.take(more_than_allowed).read_to_end(&mut content))
            .map_err(|error| format!("cannot be read: {error}"))?;
        let KeyFile { secret, created_at } = catalog_signing_keys::read(name, &content).map_err(|invalid| invalid.to_string())?;
        Self::new(kid, created_at.into(), &secret).map_err(|_| "cannot be encoded".to_owned())
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

#[cfg(test)]
pub mod tests {
    use p256::elliptic_curve::rand_core::OsRng;
    use proptest::prelude::*;

    use super::*;

    /// Generates a key with a creation time.
    pub fn key(kid: &str, created_at: DateTime<Utc>) -> SigningKey {
        SigningKey::new(kid, created_at, &SecretKey::random(&mut OsRng)).unwrap()
    }

    /// Creates a ring of keys.
    pub fn ring(mut keys: Vec<SigningKey>) -> KeyRing {
        keys.sort_by_key(|key| key.created_at);
        KeyRing { keys, ..KeyRing::default() }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
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
        fn a_key_signs_early_only_if_no_key_has_been_published_long_enough(ages in proptest::collection::vec(-1000_i64..1000, 1..6)) {
            let secret = SecretKey::random(&mut OsRng);
            let keys = ring(ages.iter().map(|age| SigningKey::new(&age.to_string(), at(-age), &secret).unwrap()).collect());
            let signer: i64 = keys.signer(at(0)).unwrap().kid.parse().unwrap();
            let published_long_enough = ages.iter().copied().filter(|age| *age >= 300).min();
            prop_assert_eq!(Some(signer), published_long_enough.or(ages.iter().copied().max()));
        }
    }
}
