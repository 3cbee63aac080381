//! What was declared and what was read become a checked plan, or named problems.

use std::fmt;

use crate::{crd::Catalog, observed::Observed};

/// A checked plan, with every default resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {}

/// Something that keeps a Catalog from becoming a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field, such as `spec.mail.credentialsSecretRef.name`.
    pub path: String,
    /// What kind of problem.
    pub reason: Reason,
    /// What is wrong and what to do.
    pub message: String,
}

/// The kinds of problems: reasons of conditions and events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A Secret doesn't exist.
    SecretNotFound,
    /// A Secret lacks a key.
    SecretKeyMissing,
    /// A data volume would shrink.
    VolumeShrinks,
    /// A data volume would change its storage class.
    StorageClassChanges,
    /// A value that the definition should have refused.
    InvalidValue,
}

impl Reason {
    /// As it stands in conditions.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SecretNotFound => "SecretNotFound",
            Self::SecretKeyMissing => "SecretKeyMissing",
            Self::VolumeShrinks => "VolumeShrinks",
            Self::StorageClassChanges => "StorageClassChanges",
            Self::InvalidValue => "InvalidValue",
        }
    }
}

/// Every problem of a Catalog; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Problem { path, message, .. }) in self.0.iter().enumerate() {
            write!(f, "{}{path}: {message}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Checks what was declared against what was read.
///
/// # Errors
/// Every problem found.
pub fn validate(_catalog: &Catalog, _observed: &Observed) -> Result<Plan, Problems> {
    Ok(Plan {})
}
