//! One issue of a component of a Catalog.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

/// Time after which a waiting pod, or a Job without pods, is an issue. Pulling an image usually takes less.
pub const SLOW_AFTER: SignedDuration = SignedDuration::from_mins(1);

/// Reason of the issue of a migration whose container has failed.
pub const MIGRATION_FAILING: &str = "MigrationFailing";

/// A current or recent failure or delay of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// The component, such as `api`.
    pub component: String,
    /// Which controller reports the issue.
    pub source: Source,
    /// Reason such as `ImagePullBackOff`.
    pub reason: String,
    /// Kind and name of the object, such as `Pod shop-api-1`.
    pub object: String,
    /// Message from Kubernetes, if there is one; otherwise the operator's own.
    pub message: String,
    /// Whether the issue makes the Catalog degraded. A delay does not.
    pub is_failure: bool,
    /// When the issue ends if nothing else happens.
    pub until: Option<Timestamp>,
}

/// Which controller reports an issue, most specific first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The volume provisioner: a claim is not bound, terminating or lost.
    Claim,
    /// The kubelet or the scheduler: a pod fails or waits.
    Pod,
    /// The controller of a workload: it cannot create pods.
    Creation,
    /// The controller of a workload: a deadline was exceeded.
    Deadline,
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.message)
    }
}
