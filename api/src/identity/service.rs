//! The service for accounts and sessions.

mod accounts;

use std::{sync::Arc, time::Duration};

use catalog_logging::Chain;
use catalog_process::config::Secret;
use chrono::{DateTime, Utc};
use garde::Validate;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Error,
    claims::Subject,
    keys::{Jwks, KeysError, SigningKeys},
    passwords::Hashing,
    rules, sessions,
    tokens::{self, TokenError},
};
use crate::{config::AuthSettings, database::Database, rate_limit::Limit, telemetry};

/// Interval at which expired sessions are deleted.
const PURGE_INTERVAL: Duration = Duration::from_hours(1);

/// The service for accounts, sessions and signing keys. Cheap to clone.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    /// The primary, because sign-ins must not read stale data.
    pool: PgPool,
    settings: AuthSettings,
    issuer: String,
    keys: SigningKeys,
    hashing: Hashing,
    per_client: Limit,
    failures: Limit,
}

/// Username and password.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// Case-insensitive.
    #[garde(custom(rules::known_username))]
    #[schema(example = "alice", min_length = 1, max_length = 64, pattern = "text")]
    username: String,
    /// Password.
    #[garde(custom(rules::known_password))]
    #[schema(value_type = String, min_length = 1, max_length = 256, format = "password", pattern = "text")]
    password: Secret,
}

/// The tokens of a session.
#[derive(Serialize, ToSchema)]
pub struct TokenPair {
    /// Sent in the `Authorization` header.
    access_token: String,
    /// How the access token is used.
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Lifetime of the access token, in seconds.
    #[schema(example = 900)]
    expires_in: u64,
    /// Can be exchanged for the next pair, once.
    refresh_token: String,
    /// Lifetime of the refresh token, in seconds.
    #[schema(example = 2_592_000)]
    refresh_expires_in: u64,
}

impl Identity {
    /// Creates the service and reads the signing keys. `issuer` is the public URL.
    ///
    /// # Errors
    /// If the directory has no usable signing key.
    pub fn new(database: &Database, settings: AuthSettings, issuer: &str) -> Result<Self, KeysError> {
        Ok(Self(Arc::new(Inner {
            pool: database.primary.clone(),
            issuer: issuer.to_owned(),
            keys: SigningKeys::open(&settings.signing_keys_dir)?,
            hashing: Hashing::default(),
            per_client: Limit::new("client", settings.rate_per_client),
            failures: Limit::new("account", settings.failures_per_account),
            settings,
        })))
    }

    /// Watches the signing keys and deletes expired sessions until `stop`. The supervisor runs it.
    ///
    /// # Errors
    /// Never fails.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let purge = async {
            while stop.run_until_cancelled(tokio::time::sleep(PURGE_INTERVAL)).await.is_some() {
                if let Err(error) = sessions::purge(&self.0.pool, Utc::now()).await {
                    tracing::warn!(error = %Chain(&error), "session purge failed; retrying");
                }
            }
        };
        tokio::join!(self.0.keys.watch(stop.clone()), purge);
        Ok(())
    }

    /// Returns the rate limit of sign-ins, refreshes and registrations per client address.
    #[must_use]
    pub fn per_client(&self) -> &Limit {
        &self.0.per_client
    }

    /// Returns the public keys of the signing keys.
    #[must_use]
    pub fn public_keys(&self) -> Jwks {
        self.0.keys.current().public()
    }

    /// Verifies an access token, and returns its account and session. Does not query the database, so the session may have ended.
    ///
    /// # Errors
    /// If this service did not issue the token, or the token has expired.
    pub fn verify_access_token(&self, token: &str, now: DateTime<Utc>) -> Result<Subject, TokenError> {
        tokens::verify(&self.0.keys.current(), &self.0.issuer, token, now)
    }

    /// Returns the username of the subject, if the account and the session are active.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn active_username(&self, subject: Subject) -> Result<Option<String>, sqlx::Error> {
        sessions::active_username(&self.0.pool, subject.session_id, subject.account_id).await
    }

    /// Signs in. A wrong username, a wrong password and a deactivated account get the same response after the same time.
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`], [`Error::TooManyFailures`], [`Error::Hashing`] if too many sign-ins wait for a permit.
    pub async fn sign_in(&self, request: Credentials, now: DateTime<Utc>) -> Result<TokenPair, Error> {
        request.validate()?;
        // Usernames are ASCII. For non-ASCII names lower() differs, so a variant spelling could reach the same account under
        // another rate-limit key.
        let account_key = request.username.to_ascii_lowercase();
        let login = if account_key.is_ascii() { sessions::find_login(&self.0.pool, &account_key).await? } else { None };
        if let Some(login) = &login {
            telemetry::record_account(login.account_id);
        }
        let permit = self.0.hashing.acquire().await?;
        // Checked only after acquiring the permit: otherwise concurrent attempts would all pass the check.
        self.0.failures.peek(&account_key).map_err(Error::TooManyFailures)?;
        let is_correct = permit.verify(request.password, login.as_ref().map(|login| login.password_hash.clone())).await?;
        let Some(login) = login.filter(|login| is_correct && login.is_active) else {
            // The response must not reveal how many attempts are left.
            let _ = self.0.failures.charge(&account_key);
            return Err(Error::InvalidCredentials);
        };
        let (session_id, refresh_token) = sessions::start(&self.0.pool, &login, now, self.0.settings.refresh_token_ttl).await?;
        self.issue_tokens(Subject { account_id: login.account_id, role: login.role, session_id }, &refresh_token, now)
    }

    /// Exchanges a refresh token for the next pair.
    ///
    /// # Errors
    /// [`Error::RefreshToken`].
    pub async fn refresh(&self, token: &Secret, now: DateTime<Utc>) -> Result<TokenPair, Error> {
        let (subject, next) = sessions::rotate(&self.0.pool, token.expose_secret(), now, self.0.settings.refresh_token_ttl).await?;
        self.issue_tokens(subject, &next, now)
    }

    /// Revokes the session of a refresh token.
    ///
    /// # Errors
    /// [`Error::RefreshToken`] if the token is unknown.
    pub async fn sign_out(&self, token: &Secret, now: DateTime<Utc>) -> Result<(), Error> {
        let session_id = sessions::find_session_by_refresh_token(&self.0.pool, token.expose_secret()).await?;
        self.end_session(session_id, now).await
    }

    /// Revokes a session. Its refresh tokens are rejected from then on, and its access tokens by operations that check the session.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn end_session(&self, session_id: Uuid, now: DateTime<Utc>) -> Result<(), Error> {
        let mut conn = self.0.pool.acquire().await?;
        Ok(sessions::revoke(&mut conn, session_id, now).await?)
    }

    fn issue_tokens(&self, subject: Subject, refresh_token: &Secret, now: DateTime<Utc>) -> Result<TokenPair, Error> {
        let settings = &self.0.settings;
        let keys = self.0.keys.current();
        Ok(TokenPair {
            access_token: tokens::issue(&keys, &self.0.issuer, subject, now, settings.access_token_ttl)?,
            token_type: "Bearer",
            expires_in: settings.access_token_ttl.as_secs(),
            refresh_token: refresh_token.expose_secret().to_owned(),
            refresh_expires_in: settings.refresh_token_ttl.as_secs(),
        })
    }
}
