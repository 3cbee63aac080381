//! The claims of access tokens, and a cache of verified ones.

use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Maximum number of tokens in the cache.
const MAX_VERIFIED_TOKENS: usize = 10_000;

/// The role of an account, which determines what the account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Role {
    /// Manages the catalogue.
    Admin,
    /// Orders products.
    Customer,
}

impl Role {
    /// Returns the name of the role.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Customer => "customer",
        }
    }
}

/// The account and session of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject {
    /// Account id.
    pub account_id: Uuid,
    /// Role of the account.
    pub role: Role,
    /// Session id.
    pub session_id: Uuid,
}

/// The claims of RFC 7519, and the private claims `role` and `sid` (the session). Times are in seconds since 1970.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub aud: String,
    pub sub: Uuid,
    pub exp: i64,
    pub nbf: i64,
    pub iat: i64,
    pub jti: Uuid,
    pub role: Role,
    pub sid: Uuid,
}

/// Cache of tokens whose signature was verified with the keys of one ring. Verification takes longer than the rest of a read,
/// and a session sends the same token with every request. The keys of the cache are digests, so that a heap dump contains no token.
pub struct Verified(Cache<[u8; 32], Claims>);

impl Default for Verified {
    fn default() -> Self {
        Self(Cache::new(MAX_VERIFIED_TOKENS))
    }
}

impl Verified {
    /// Returns the claims of a token. `decode` verifies the token if it isn't cached.
    pub fn claims<E>(&self, issuer: &str, token: &str, decode: impl FnOnce() -> Result<Claims, E>) -> Result<Claims, E> {
        let digest: [u8; 32] = Sha256::new().chain_update(issuer).chain_update([0]).chain_update(token).finalize().into();
        self.0.get_or_insert_with(&digest, decode)
    }
}
