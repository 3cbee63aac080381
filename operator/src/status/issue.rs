//! One issue of a part of a Catalog.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

/// Time after which a waiting pod, or a Job without pods, is an issue. Pulling an image usually takes less.
pub const SLOW_AFTER: SignedDuration = SignedDuration::from_mins(1);

/// Reason of the issue of a migration whose container has failed.
pub const MIGRATION_FAILING: &str = "MigrationFailing";

/// A current or recent failure or delay of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// The part, such as `api`.
    pub component: String,
    /// Which component reports the issue.
    pub source: Source,
    /// Reason such as `ImagePullBackOff`.
    pub reason: String,
    /// Kind and name of the object, such as `Pod shop-api-1`.
    pub object: String,
    /// Text of the cluster, if it has one.
    pub message: String,
    /// Whether the issue makes the Catalog degraded. A delay does not.
    pub is_failure: bool,
    /// When the issue ends if nothing else happens.
    pub until: Option<Timestamp>,
}

/// Which component reports an issue, most specific first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The provisioner: the volume of a claim.
    Claim,
    /// The kubelet or the scheduler: a pod.
    Pod,
    /// A controller: pods that it cannot create.
    Creation,
    /// A controller: an exceeded deadline.
    Deadline,
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.message)
    }
}
