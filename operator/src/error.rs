//! What may keep a reconcile from its end.

use crate::kinds::Kind;

/// Why a reconcile didn't come to its end. It is tried again, later each time.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused or didn't answer.
    #[error("cannot {verb} {object}: {}", cause(.source))]
    Api {
        /// What was tried, such as `apply`.
        verb: &'static str,
        /// On what.
        object: String,
        /// Why not.
        #[source]
        source: Box<kube::Error>,
    },
    /// An object of that name is somebody else's.
    #[error("{kind} {name} exists and is {owner}: delete or rename it, or give the Catalog another name")]
    NameTaken {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// Whose it is.
        owner: String,
    },
    /// An object has no JSON form.
    #[error("cannot write an object down: {0}")]
    Encode(#[from] serde_json::Error),
}

impl Error {
    /// A refusal of the API server.
    pub fn api(verb: &'static str, object: impl Into<String>, source: kube::Error) -> Self {
        Self::Api { verb, object: object.into(), source: Box::new(source) }
    }

    /// An object that isn't ours.
    #[must_use]
    pub fn name_taken(kind: Kind, name: &str, owner: String) -> Self {
        Self::NameTaken { kind: kind.resource().kind, name: name.into(), owner }
    }

    /// Kind and name of the object that could not be read or written, for logs.
    #[must_use]
    pub fn object(&self) -> Option<(&str, &str)> {
        match self {
            Self::Api { object, .. } => Some(object.split_once(' ').unwrap_or((object, ""))),
            Self::NameTaken { kind, name, .. } => Some((kind, name)),
            Self::Encode(_) => None,
        }
    }

    /// Whether the API server understood the request and says no (403, 422).
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        matches!(self, Self::Api { source, .. } if matches!(&**source, kube::Error::Api(status) if matches!(status.code, 403 | 422)))
    }

    /// Whether another object may be written nevertheless: the API server has answered, or wasn't asked.
    #[must_use]
    pub fn concerns_one_object(&self) -> bool {
        self.reason() != "Unavailable"
    }

    /// Whether another client was faster (409).
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.reason() == "Conflict"
    }

    /// The reason of conditions, and the label of metrics.
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

/// In the words of the API server, without the structure around them.
fn cause(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}
