//! The name of a call, the same in every run.

use std::fmt;

use http::{Method, Uri};

/// The verb, as HTTP has it.
pub type Verb = Method;

/// One call of an operator: what it asks, and the how-manieth time.
///
/// Not a mere number, because a reconcile may ask for things in another order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Call {
    /// The verb.
    pub verb: Verb,
    /// The path behind the namespace; see [`path`].
    pub path: String,
    /// Counted from 1.
    pub occurrence: usize,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.path)?;
        if self.occurrence > 1 { write!(f, " (the {}. time)", self.occurrence) } else { Ok(()) }
    }
}

/// A path without what differs between runs: the namespace, and the hash in the name of a Job.
pub fn path(uri: &Uri) -> String {
    let path = uri.path();
    let behind = path.split_once("/namespaces/").and_then(|(_, rest)| rest.split_once('/'));
    let path = behind.map_or(path, |(_, rest)| rest);
    path.split('/').map(without_hash).collect::<Vec<_>>().join("/")
}

/// `shop-migrate-<hash>` without the hash.
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

/// Whether a call has no number: watches, Leases and Events.
pub fn is_aside(uri: &Uri) -> bool {
    let path = uri.path();
    is_watch(uri) || path.contains("/leases") || path.split('/').any(|part| part == "events")
}

/// Whether a call changes something.
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
    fn a_path_begins_behind_its_namespace() {
        assert_eq!(path_of("/apis/apps/v1/namespaces/install-00001/deployments/shop-api/status?x=y"), "deployments/shop-api/status");
        assert_eq!(path_of("/api/v1/namespaces/install-00001"), "/api/v1/namespaces/install-00001");
        assert_eq!(path_of("/apis/keda.sh/v1alpha1"), "/apis/keda.sh/v1alpha1");
    }

    #[test]
    fn the_name_of_a_migration_has_no_hash() {
        assert_eq!(path_of("/apis/batch/v1/namespaces/a/jobs/shop-migrate-0a1b2c"), "jobs/shop-migrate-HASH");
    }

    #[test]
    fn watches_leases_and_events_are_aside() {
        for aside in
            ["/api/v1/pods?watch=true", "/apis/coordination.k8s.io/v1/namespaces/a/leases/b", "/apis/events.k8s.io/v1/namespaces/a/events"]
        {
            assert!(is_aside(&Uri::from_static(aside)), "{aside}");
        }
        assert!(!is_aside(&Uri::from_static("/api/v1/namespaces/events-1/pods?limit=1")));
    }
}
