//! Errors of a reconcile.

use crate::kinds::Kind;

/// Reasons why a reconcile failed. It is retried with exponential backoff.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server rejected a call, or is unavailable.
    #[error("cannot {verb} {object}: {}", cause(.source))]
    Api {
        /// The verb of the call, such as `apply`.
        verb: &'static str,
        /// Kind and name of the object, or the plural name of a kind.
        object: String,
        /// The error of the client.
        #[source]
        source: Box<kube::Error>,
    },
    /// An object with a needed name exists and does not belong to the Catalog.
    #[error("{kind} {name} exists and is {owner}: delete or rename it, or give the Catalog another name")]
    NameTaken {
        /// Kind of the object.
        kind: String,
        /// Name of the object.
        name: String,
        /// What the object is, such as a description of its owner.
        owner: String,
    },
    /// An object cannot be serialised.
    #[error("cannot serialise an object: {0}")]
    Encode(#[from] serde_json::Error),
}

impl Error {
    /// Wraps the error of a call.
    pub fn api(verb: &'static str, object: impl Into<String>, source: kube::Error) -> Self {
        Self::Api { verb, object: object.into(), source: Box::new(source) }
    }

    /// Reports an object that does not belong to the Catalog.
    #[must_use]
    pub fn name_taken(kind: Kind, name: &str, owner: String) -> Self {
        Self::NameTaken { kind: kind.resource().kind, name: name.into(), owner }
    }

    /// Returns kind and name of the object that could not be read or written, for logs.
    #[must_use]
    pub fn object(&self) -> Option<(&str, &str)> {
        match self {
            Self::Api { object, .. } => Some(object.split_once(' ').unwrap_or((object, ""))),
            Self::NameTaken { kind, name, .. } => Some((kind, name)),
            Self::Encode(_) => None,
        }
    }

    /// Whether the API server rejected the request as forbidden or invalid (403, 422).
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        matches!(self, Self::Api { source, .. } if matches!(&**source, kube::Error::Api(status) if matches!(status.code, 403 | 422)))
    }

    /// Whether other objects can still be written, because the API server is available.
    #[must_use]
    pub fn concerns_one_object(&self) -> bool {
        self.reason() != "Unavailable"
    }

    /// Whether the object was changed by another client in the meantime (409).
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.reason() == "Conflict"
    }

    /// Returns the reason of conditions, which is also a label of metrics. `Refused` means any other rejection by the API server (4xx).
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NameTaken { .. } => "NameTaken",
            Self::Encode(_) => "Internal",
            Self::Api { source, .. } => match &**source {
                kube::Error::Api(status) if status.code == 403 => "Forbidden",
                kube::Error::Api(status) if status.code == 409 => "Conflict",
                kube::Error::Api(status) if status.code == 422 => "Invalid",
                kube::Error::Api(status) if status.code < 500 => "Refused",
                _ => "Unavailable",
            },
        }
    }
}

/// Returns the message of the API server without the rest of its status.
fn cause(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}
