//! Sign-in: signing keys, token lifetimes, the superuser.

use std::{path::PathBuf, time::Duration};

use catalog_process::config::{Checker, Secret};
use clap::Args;

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

/// Tokens, and limits of signing in.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Sign-in")]
pub struct AuthArgs {
    /// Directory of PEM private keys (ES256), each named CREATION_TIME-NAME.pem, watched for changes
    #[arg(long, env = "AUTH_SIGNING_KEYS_DIR", value_name = "DIR")]
    auth_signing_keys_dir: Option<PathBuf>,
    /// Lifetime of an access token
    #[arg(long, env = "AUTH_ACCESS_TOKEN_TTL", default_value = "15m", value_name = "DURATION")]
    auth_access_token_ttl: String,
    /// Lifetime of a refresh token
    #[arg(long, env = "AUTH_REFRESH_TOKEN_TTL", default_value = "30d", value_name = "DURATION")]
    auth_refresh_token_ttl: String,
    /// Logins and refreshes per minute and client address
    #[arg(long, env = "AUTH_RATE_PER_CLIENT", default_value = "300", value_name = "N")]
    auth_rate_per_client: String,
    /// Failed logins per minute and account
    #[arg(long, env = "AUTH_FAILURES_PER_ACCOUNT", default_value = "20", value_name = "N")]
    auth_failures_per_account: String,
}

/// Checked sign-in settings.
#[derive(Debug, Clone)]
pub struct AuthSettings {
    /// Directory of signing keys.
    pub signing_keys_dir: PathBuf,
    /// Lifetime of an access token, 1 minute to 1 day.
    pub access_token_ttl: Duration,
    /// Lifetime of a refresh token, 1 minute to 400 days.
    pub refresh_token_ttl: Duration,
    /// Requests per minute and client address.
    pub rate_per_client: u32,
    /// Failed logins per minute and account.
    pub failures_per_account: u32,
}

impl AuthArgs {
    /// Checks the settings.
    pub fn check(&self, check: &mut Checker) -> Option<AuthSettings> {
        let signing_keys_dir = self.auth_signing_keys_dir.clone().filter(|dir| dir.is_dir());
        if signing_keys_dir.is_none() {
            let given = self.auth_signing_keys_dir.as_ref().map(|dir| dir.display().to_string()).unwrap_or_default();
            check.reject("AUTH_SIGNING_KEYS_DIR", &given, "an existing directory of PEM private keys (ES256)");
        }
        let access = check.duration("AUTH_ACCESS_TOKEN_TTL", &self.auth_access_token_ttl, MINUTE, DAY);
        let refresh = check.duration("AUTH_REFRESH_TOKEN_TTL", &self.auth_refresh_token_ttl, MINUTE, 400 * DAY);
        let mut rate =
            |name: &str, raw: &str| check.value(name, raw, "a whole number from 1 to 1000000", |n: &u32| (1..=1_000_000).contains(n));
        let rate_per_client = rate("AUTH_RATE_PER_CLIENT", &self.auth_rate_per_client);
        let failures_per_account = rate("AUTH_FAILURES_PER_ACCOUNT", &self.auth_failures_per_account);
        Some(AuthSettings {
            signing_keys_dir: signing_keys_dir?,
            access_token_ttl: access?,
            refresh_token_ttl: refresh?,
            rate_per_client: rate_per_client?,
            failures_per_account: failures_per_account?,
        })
    }
}

/// The admin that cannot be changed through the API.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Superuser (SUPERUSER_PASSWORD: environment only)")]
pub struct SuperuserArgs {
    /// Username of the superuser; without it, no superuser is created
    #[arg(long, env = "SUPERUSER_USERNAME", value_name = "NAME")]
    superuser_username: Option<String>,
    /// E-mail address of the superuser
    #[arg(long, env = "SUPERUSER_EMAIL", value_name = "ADDRESS")]
    superuser_email: Option<String>,
    /// File with the password of the superuser
    #[arg(long, env = "SUPERUSER_PASSWORD_FILE", value_name = "FILE")]
    superuser_password_file: Option<PathBuf>,
}

/// Checked superuser settings.
#[derive(Debug, Clone)]
pub struct SuperuserSettings {
    /// Username.
    pub username: String,
    /// E-mail address.
    pub email: String,
    /// Password.
    pub password: Secret,
}

impl SuperuserArgs {
    /// Checks the settings: all three or none. The outer option is `None` after an error.
    #[allow(clippy::option_option, reason = "absent on purpose is not the same as wrong")]
    pub fn check(&self, check: &mut Checker) -> Option<Option<SuperuserSettings>> {
        let password = check.secret("SUPERUSER_PASSWORD", self.superuser_password_file.as_ref());
        match (self.superuser_username.clone(), self.superuser_email.clone(), password) {
            (None, None, None) => Some(None),
            (Some(username), Some(email), Some(password)) => Some(Some(SuperuserSettings { username, email, password })),
            _ => {
                check.add_error("SUPERUSER_USERNAME, SUPERUSER_EMAIL and SUPERUSER_PASSWORD belong together: set all three or none");
                None
            }
        }
    }
}
