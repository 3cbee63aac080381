//! Problems that validation finds.

use std::fmt;

/// A reason why a spec cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field, such as `spec.mail.credentialsSecretRef.name`.
    pub path: String,
    /// The kind of problem.
    pub reason: Reason,
    /// What is wrong and how to correct it. It contains no value of a Secret.
    pub message: String,
}

/// The kinds of problems, which are also reasons of conditions and Events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A referenced Secret doesn't exist.
    SecretNotFound,
    /// A Secret lacks a key.
    SecretKeyMissing,
    /// A value in a Secret is invalid.
    SecretValueInvalid,
    /// A value in the spec is invalid.
    InvalidValue,
}

impl Reason {
    /// Returns the reason as conditions contain it.
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

/// All problems of a Catalog, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Returns the reason of conditions: that of the first problem.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.0.first().map_or("Refused", |problem| problem.reason.as_str())
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            write!(f, "{}{problem}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
