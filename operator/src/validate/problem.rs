//! What keeps a Catalog from becoming a plan.

use std::fmt;

/// Something that keeps a Catalog from becoming a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field, such as `spec.mail.credentialsSecretRef.name`.
    pub path: String,
    /// What kind of problem.
    pub reason: Reason,
    /// What is wrong and what to do. Never a secret value.
    pub message: String,
}

/// The kinds of problems: reasons of conditions and events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A Secret doesn't exist.
    SecretNotFound,
    /// A Secret lacks a key.
    SecretKeyMissing,
    /// A value in a Secret cannot be used.
    SecretValueInvalid,
    /// A value cannot be used.
    InvalidValue,
}

impl Reason {
    /// As it stands in conditions.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SecretNotFound => "SecretNotFound",
            Self::SecretKeyMissing => "SecretKeyMissing",
            Self::SecretValueInvalid => "SecretValueInvalid",
            Self::InvalidValue => "InvalidValue",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Every problem of a Catalog; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            write!(f, "{}{problem}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
