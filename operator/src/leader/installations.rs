//! Other installations of the operator in the cluster: each holds a Lease of the same name in its own namespace.
//!
//! An operator that holds its own Lease looks at those of other namespaces before it leads. Of two that start at the same time
//! at least one sees the other, since each writes before it reads.

use std::collections::BTreeMap;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::{Api, Client, ResourceExt, api::ListParams};
use tokio::time::Instant;

use super::{LEASE_DURATION, NAME};

/// Annotation of a Lease whose holder doesn't lead yet.
pub const CANDIDATE: &str = "catalog.rs/candidate";

/// Another installation of the operator serves this cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "another installation of the operator {} in namespace {namespace} (Lease {NAME}, holder {holder}): \
     one installation serves all namespaces of a cluster; uninstall one of the two",
    if *.leads { "leads" } else { "is starting" }
)]
pub struct AnotherInstallation {
    namespace: String,
    holder: String,
    leads: bool,
}

/// What the Leases of other namespaces say.
#[derive(Debug, PartialEq, Eq)]
pub enum Others {
    /// No other installation runs.
    None,
    /// It isn't known yet whether the holder of a Lease runs, or it is about to yield.
    Undecided,
    /// This operator yields.
    Precede(AnotherInstallation),
}

/// Reads the Leases of other installations.
pub struct Installations {
    api: Api<Lease>,
    observed: Observed,
}

impl Installations {
    /// Other than the one in `namespace`.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { api: Api::all(client), observed: Observed { namespace: namespace.into(), records: BTreeMap::new() } }
    }

    /// Whether another installation runs.
    ///
    /// # Errors
    /// If Leases cannot be listed.
    pub async fn others(&mut self) -> Result<Others, kube::Error> {
        // The operator may list Leases of this name only.
        let leases = self.api.list(&ListParams::default().fields(&format!("metadata.name={NAME}"))).await?;
        Ok(self.observed.others(&leases.items, Instant::now()))
    }
}

/// The Leases of other namespaces as they were last seen.
struct Observed {
    namespace: String,
    records: BTreeMap<String, Record>,
}

struct Record {
    spec: LeaseSpec,
    since: Instant,
    is_renewed: bool,
}

impl Observed {
    /// A Lease is live once it was seen to change, and has expired once it was seen unchanged for a lease duration.
    fn others(&mut self, leases: &[Lease], now: Instant) -> Others {
        let mut undecided = false;
        for lease in leases {
            let (namespace, spec) = (lease.namespace().unwrap_or_default(), lease.spec.clone().unwrap_or_default());
            let Some(holder) = spec.holder_identity.clone().filter(|holder| namespace != self.namespace && !holder.is_empty()) else {
                self.records.remove(&namespace);
                continue;
            };
            let record =
                self.records.entry(namespace.clone()).or_insert_with(|| Record { spec: spec.clone(), since: now, is_renewed: false });
            if record.spec != spec {
                *record = Record { spec, since: now, is_renewed: true };
            }
            if now.duration_since(record.since) >= LEASE_DURATION {
                continue;
            }
            // Between two candidates the names of their namespaces decide.
            let leads = !lease.annotations().contains_key(CANDIDATE);
            if record.is_renewed && (leads || namespace < self.namespace) {
                return Others::Precede(AnotherInstallation { namespace, holder, leads });
            }
            undecided = true;
        }
        if undecided {
            return Others::Undecided;
        }
        // When it is asked again, this operator has led meanwhile.
        self.records.clear();
        Others::None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn lease(namespace: &str, holder: &str, renewals: i32, is_candidate: bool) -> Lease {
        let annotations = if is_candidate { json!({CANDIDATE: "true"}) } else { json!({}) };
        let metadata = json!({"name": NAME, "namespace": namespace, "annotations": annotations});
        // What changes doesn't matter, only that it does.
        let spec = json!({"holderIdentity": holder, "leaseTransitions": renewals});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
    }

    fn observed() -> Observed {
        Observed { namespace: "b".into(), records: BTreeMap::new() }
    }

    fn precede(namespace: &str, leads: bool) -> Others {
        Others::Precede(AnotherInstallation { namespace: namespace.into(), holder: "other".into(), leads })
    }

    #[test]
    fn a_lease_that_is_renewed_elsewhere_precedes() {
        for namespace in ["a", "c"] {
            let (mut observed, now) = (observed(), Instant::now());
            let own = lease("b", "this", 0, true);
            assert_eq!(observed.others(&[own.clone(), lease(namespace, "other", 1, false)], now), Others::Undecided);
            assert_eq!(observed.others(&[own, lease(namespace, "other", 2, false)], now), precede(namespace, true));
        }
    }

    #[test]
    fn of_two_candidates_the_namespace_that_sorts_first_stays() {
        for (namespace, expected) in [("a", precede("a", false)), ("c", Others::Undecided)] {
            let (mut observed, now) = (observed(), Instant::now());
            observed.others(&[lease(namespace, "other", 1, true)], now);
            assert_eq!(observed.others(&[lease(namespace, "other", 2, true)], now), expected);
        }
    }

    #[test]
    fn a_lease_that_is_released_or_expired_counts_no_more() {
        let (mut observed, now) = (observed(), Instant::now());
        assert_eq!(observed.others(&[lease("a", "", 1, false)], now), Others::None);
        assert_eq!(observed.others(&[lease("a", "other", 1, false)], now), Others::Undecided);
        assert_eq!(observed.others(&[lease("a", "other", 1, false)], now + LEASE_DURATION - Duration::from_secs(1)), Others::Undecided);
        assert_eq!(observed.others(&[lease("a", "other", 1, false)], now + LEASE_DURATION), Others::None);
    }

    #[test]
    fn the_message_names_both_ways_to_be_second() {
        let another = |leads| AnotherInstallation { namespace: "catalog-system".into(), holder: "catalog-operator-7d9c".into(), leads };
        assert_eq!(
            another(true).to_string(),
            "another installation of the operator leads in namespace catalog-system (Lease catalog-operator, holder \
             catalog-operator-7d9c): one installation serves all namespaces of a cluster; uninstall one of the two"
        );
        assert!(another(false).to_string().starts_with("another installation of the operator is starting in namespace catalog-system"));
    }
}
