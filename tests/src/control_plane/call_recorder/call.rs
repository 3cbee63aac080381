//! Names of API calls that are the same in every run.

use std::fmt;

use http::{Method, Uri};

/// The HTTP method of a call.
pub type Verb = Method;

/// An API call of an operator, identified by method, path and occurrence.
///
/// Its position among all calls would not identify it, because a reconcile may make its calls in another order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Call {
    /// The HTTP method.
    pub verb: Verb,
    /// The path after the namespace; see [`path`].
    pub path: String,
    /// The number of calls with this method and path up to this one, from 1.
    pub occurrence: usize,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.path)?;
        if self.occurrence > 1 { write!(f, " (occurrence {})", self.occurrence) } else { Ok(()) }
    }
}

/// Returns a path without the namespace and without the hash in the name of a Job, which differ between runs.
pub fn path(uri: &Uri) -> String {
    let path = uri.path();
    let behind = path.split_once("/namespaces/").and_then(|(_, rest)| rest.split_once('/'));
    let path = behind.map_or(path, |(_, rest)| rest);
    path.split('/').map(without_hash).collect::<Vec<_>>().join("/")
}

/// Replaces the hash of `shop-migrate-<hash>` by `HASH`.
pub fn without_hash(name: &str) -> String {
    match name.rsplit_once('-') {
        Some((stem, hash)) if stem.ends_with("-migrate") && !hash.is_empty() => format!("{stem}-HASH"),
        _ => name.to_owned(),
    }
}

/// Whether a call is a watch.
pub fn is_watch(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1" | "watch")))
}

/// Whether a call is not recorded: watches, and calls for Leases and Events.
pub fn is_unrecorded(uri: &Uri) -> bool {
    let path = uri.path();
    is_watch(uri) || path.contains("/leases") || path.split('/').any(|part| part == "events")
}

/// Whether a call is a write.
pub fn is_write(verb: &Verb, uri: &Uri) -> bool {
    *verb != Method::GET && !uri.query().unwrap_or_default().contains("dryRun=")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_of(text: &'static str) -> String {
        path(&Uri::from_static(text))
    }

    #[test]
    fn a_path_starts_after_the_namespace() {
        assert_eq!(path_of("/apis/apps/v1/namespaces/install-00001/deployments/shop-api/status?x=y"), "deployments/shop-api/status");
        assert_eq!(path_of("/api/v1/namespaces/install-00001"), "/api/v1/namespaces/install-00001");
        assert_eq!(path_of("/apis/keda.sh/v1alpha1"), "/apis/keda.sh/v1alpha1");
    }

    #[test]
    fn the_hash_in_the_name_of_a_migration_is_replaced() {
        assert_eq!(path_of("/apis/batch/v1/namespaces/a/jobs/shop-migrate-0a1b2c"), "jobs/shop-migrate-HASH");
    }

    #[test]
    fn watches_and_calls_for_leases_and_events_are_not_recorded() {
        for unrecorded in
            ["/api/v1/pods?watch=true", "/apis/coordination.k8s.io/v1/namespaces/a/leases/b", "/apis/events.k8s.io/v1/namespaces/a/events"]
        {
            assert!(is_unrecorded(&Uri::from_static(unrecorded)), "{unrecorded}");
        }
        assert!(!is_unrecorded(&Uri::from_static("/api/v1/namespaces/events-1/pods?limit=1")));
    }
}
