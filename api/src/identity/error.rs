//! Why a command on accounts or sessions failed.

use thiserror::Error;

use super::{
    passwords::HashingError,
    tokens::{Role, SigningError},
};
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

/// See the variants for what the caller can do.
#[derive(Debug, Error)]
pub enum Error {
    /// There is no such account of this role.
    #[error("there is no such {}", .0.name())]
    NotFound(Role),
    /// The superuser is changed by its settings only, or gets a new password from an operator.
    #[error("the superuser cannot be changed this way; `catalog admin set-password` gives it another password")]
    Superuser,
    /// Other accounts have these: choose others. Never empty.
    #[error("taken by another account: {}", .0.iter().map(|unique| unique.field()).collect::<Vec<_>>().join(" and "))]
    Taken(Vec<Unique>),
    /// A rule is broken.
    #[error("not allowed: {}", complaints(.0))]
    Invalid(garde::Report),
    /// Username or password is wrong, or the account isn't active. Nobody learns which.
    #[error("username or password is wrong")]
    WrongCredentials,
    /// The refresh token is unknown, expired, used or revoked: sign in.
    #[error("the refresh token is not valid")]
    DeadRefreshToken,
    /// Too many failed sign-ins to this account: come back later.
    #[error("too many failed sign-ins")]
    TooManyFailures(Allowance),
    /// A password could not be hashed.
    #[error(transparent)]
    Hashing(#[from] HashingError),
    /// A token could not be signed.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The database failed or is away.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

fn complaints(report: &garde::Report) -> String {
    report.iter().map(|(_, error)| error.message()).collect::<Vec<_>>().join("; ")
}

impl From<garde::Report> for Error {
    fn from(report: garde::Report) -> Self {
        Self::Invalid(report)
    }
}
