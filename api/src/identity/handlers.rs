//! HTTP handlers of accounts and sessions.

pub mod admins;
pub mod auth;
mod auth_allowance;
pub mod customers;
pub mod jwks;
pub mod profile;

use axum::http::StatusCode;

use super::{Error, Unique, error::RefreshTokenError, passwords::HashingError};
use crate::http::{
    problem::{FieldError, Problem},
    rate_limit_response::too_many,
    validate::field_errors,
};

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound(role) => Self::not_found(format!("No {} has this id.", role.name())),
            Error::Superuser => Self::new(
                StatusCode::FORBIDDEN,
                "superuser-protected",
                "Not allowed",
                "The superuser cannot be changed through the API. An operator can set its password: catalog admin set-password.",
            ),
            Error::Taken(fields) => taken_problem(&fields),
            Error::Invalid(report) => Self::invalid(field_errors(report)),
            Error::InvalidCredentials => Self::unauthorized("invalid-credentials", "The username or the password is wrong."),
            Error::RefreshToken(error) => refresh_token_rejected(error),
            Error::TooManyFailures(allowance) => {
                too_many(&allowance, "Too many failed sign-ins to this account. Retry after the seconds in Retry-After.")
            }
            Error::Hashing(HashingError::Busy) => {
                Self::unavailable("Too many passwords are being checked. Retry after the seconds in Retry-After.")
            }
            Error::Hashing(error) => Self::internal(&error),
            Error::Signing(error) => Self::internal(&error),
            Error::Database(error) => error.into(),
        }
    }
}

fn refresh_token_rejected(error: RefreshTokenError) -> Problem {
    match error {
        RefreshTokenError::Unknown => {
            Problem::unauthorized("token-invalid", "The refresh token is invalid. Sign in again: POST /v1/auth/login.")
        }
        // Not `token-expired`, because clients react to `token-expired` with a refresh, which has just failed.
        RefreshTokenError::Expired => {
            Problem::unauthorized("refresh-token-expired", "The refresh token has expired. Sign in again: POST /v1/auth/login.")
        }
        RefreshTokenError::Revoked => {
            let detail = "The session has ended, or the account was deactivated. Sign in again: POST /v1/auth/login.";
            Problem::unauthorized("token-revoked", detail)
        }
        RefreshTokenError::Reused => {
            let detail = "The refresh token was used before, so another client may have it. The session is revoked; sign in again.";
            Problem::unauthorized("token-reused", detail)
        }
    }
}

fn taken_problem(fields: &[Unique]) -> Problem {
    let kind = if fields.contains(&Unique::Username) { "username-taken" } else { "email-taken" };
    let names: Vec<_> = fields.iter().map(|unique| unique.field()).collect();
    let errors = names.iter().map(|name| FieldError::body(format!("/{name}"), format!("another account has this {name}")));
    let detail = format!("Another account has this {}. No changes were made; choose another.", names.join(" and this "));
    Problem::conflict(kind, detail).with_errors(errors.collect())
}
