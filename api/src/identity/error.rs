//! Errors of commands on accounts and sessions.

use thiserror::Error;

use super::{claims::Role, passwords::HashingError, tokens::SigningError};
use crate::rate_limit::Allowance;

/// A field that must be unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unique {
    /// Unique among all accounts.
    Username,
    /// Unique among the accounts of one role.
    Email,
}

impl Unique {
    /// Returns the name of the field.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::Username => "username",
            Self::Email => "email",
        }
    }
}

/// Why a refresh token is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RefreshTokenError {
    /// The service did not issue the token, or has already deleted it because it expired long ago.
    #[error("the refresh token is unknown")]
    Unknown,
    /// The token was not used before its expiry.
    #[error("the refresh token has expired")]
    Expired,
    /// The session was revoked, or the account was deactivated.
    #[error("the refresh token is revoked")]
    Revoked,
    /// The token was used before, so two clients may have it. The session is revoked.
    #[error("the refresh token was used before")]
    Reused,
}

/// Errors of commands.
#[derive(Debug, Error)]
pub enum Error {
    /// No account of this role has the id.
    #[error("{} not found", .0.name())]
    NotFound(Role),
    /// The superuser can only be changed by its settings or by `catalog admin set-password`.
    #[error("the superuser cannot be changed this way; `catalog admin set-password` gives it another password")]
    Superuser,
    /// Other accounts have the values of these fields. Not empty.
    #[error("taken by another account: {}", .0.iter().map(|unique| unique.field()).collect::<Vec<_>>().join(" and "))]
    Taken(Vec<Unique>),
    /// The request violates rules of accounts.
    #[error("not allowed: {}", messages(.0))]
    Invalid(garde::Report),
    /// The username or the password is wrong, or the account isn't active. The response doesn't say which.
    #[error("username or password is wrong")]
    InvalidCredentials,
    /// The refresh token is rejected. The client must sign in again.
    #[error(transparent)]
    RefreshToken(#[from] RefreshTokenError),
    /// Too many recent sign-ins to this account failed.
    #[error("too many failed sign-ins")]
    TooManyFailures(Allowance),
    /// A password could not be hashed.
    #[error(transparent)]
    Hashing(#[from] HashingError),
    /// A token could not be signed.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The database failed or is unavailable.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

fn messages(report: &garde::Report) -> String {
    report.iter().map(|(_, error)| error.message()).collect::<Vec<_>>().join("; ")
}

impl From<garde::Report> for Error {
    fn from(report: garde::Report) -> Self {
        Self::Invalid(report)
    }
}
