//! Why a command on accounts or sessions failed.

use thiserror::Error;

use super::{claims::Role, passwords::HashingError, tokens::SigningError};
use crate::rate_limit::Allowance;

/// A field that must be unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unique {
    /// Among all accounts.
    Username,
    /// Among the accounts of one role.
    Email,
}

impl Unique {
    /// The field's name.
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
    /// The service did not issue it, or issued it so long ago that it was deleted.
    #[error("the refresh token is unknown")]
    Unknown,
    /// It was not used in time.
    #[error("the refresh token has expired")]
    Expired,
    /// Its session has ended, or its account was deactivated.
    #[error("the refresh token is revoked")]
    Revoked,
    /// It was used before, so two clients have it: its session is revoked.
    #[error("the refresh token was used before")]
    Reused,
}

/// Errors of commands; each variant says how to recover.
#[derive(Debug, Error)]
pub enum Error {
    /// No account of this role has the id.
    #[error("{} not found", .0.name())]
    NotFound(Role),
    /// The superuser can only be changed by its settings, or get a new password from an operator.
    #[error("the superuser cannot be changed this way; `catalog admin set-password` gives it another password")]
    Superuser,
    /// Other accounts have these values: choose others. Not empty.
    #[error("taken by another account: {}", .0.iter().map(|unique| unique.field()).collect::<Vec<_>>().join(" and "))]
    Taken(Vec<Unique>),
    /// A rule is broken.
    #[error("not allowed: {}", messages(.0))]
    Invalid(garde::Report),
    /// Username or password is wrong, or the account isn't active. The client doesn't learn which.
    #[error("username or password is wrong")]
    InvalidCredentials,
    /// The refresh token is rejected: sign in.
    #[error(transparent)]
    RefreshToken(#[from] RefreshTokenError),
    /// Too many failed sign-ins to this account: retry later.
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
