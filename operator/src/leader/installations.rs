//! Other installations of the operator in the cluster: each holds a Lease of the same name in its own namespace.
//!
//! An operator that holds its own Lease looks at those of other namespaces before it leads. Of two that start at the same time
//! at least one sees the other, since each writes before it reads.

use std::collections::BTreeMap;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::{Api, Client, ResourceExt, api::ListParams};
use tokio::time::Instant;

use super::{LEASE_DURATION, NAME};

/// Annotation of a Lease whose holder doesn't lead yet: the identity of that holder. A later holder may be of a release that doesn't
/// know the annotation, and leaves it as it is.
pub const CANDIDATE: &str = "catalog.rs/candidate";

/// Another installation of the operator in this cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "another installation of the operator {} in namespace {namespace} (Lease {NAME}, {proof}): \
     one installation serves all namespaces of a cluster; uninstall one of the two",
    .state.verb()
)]
pub struct AnotherInstallation {
    state: State,
    namespace: String,
    /// Holder or owner of its Lease.
    proof: String,
}

/// What is known of another installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Leads,
    IsStarting,
    /// Its Deployment exists, whether its pods run or not.
    IsInstalled,
    MayRun,
}

impl State {
    fn verb(self) -> &'static str {
        match self {
            Self::Leads => "leads",
            Self::IsStarting => "is starting",
            Self::IsInstalled => "is installed",
            Self::MayRun => "may be running",
        }
    }
}

/// What the Leases of other namespaces say.
#[derive(Debug, PartialEq, Eq)]
pub enum Others {
    /// No other installation runs.
    None,
    /// It isn't known yet whether the holder of a Lease runs, or it is about to yield.
    Undecided(AnotherInstallation),
    /// This operator yields.
    Precede(AnotherInstallation),
}

/// Whether the holder of the Lease doesn't lead yet.
pub fn is_candidate(lease: &Lease) -> bool {
    let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_ref());
    holder.is_some() && lease.annotations().get(CANDIDATE) == holder
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
    /// A Lease is live once it was seen to change, and has expired once it was seen unchanged for a lease duration. One with an owner
    /// counts even if it isn't live: its installation has led, and exists.
    fn others(&mut self, leases: &[Lease], now: Instant) -> Others {
        let (own, others): (Vec<_>, Vec<_>) = leases.iter().partition(|lease| lease.namespace().as_ref() == Some(&self.namespace));
        let is_owned = own.iter().any(|lease| owner(lease).is_some());
        let mut undecided = None;
        for lease in others {
            let (namespace, spec) = (lease.namespace().unwrap_or_default(), lease.spec.clone().unwrap_or_default());
            let holder = spec.holder_identity.clone().filter(|holder| !holder.is_empty());
            let another = |state, proof| AnotherInstallation { state, namespace: namespace.clone(), proof };
            if let Some(owner) = owner(lease).filter(|_| !is_owned) {
                return Others::Precede(another(State::IsInstalled, format!("owner {owner}")));
            }
            let Some(holder) = holder else {
                self.records.remove(&namespace);
                continue;
            };
            let proof = format!("holder {holder}");
            let record =
                self.records.entry(namespace.clone()).or_insert_with(|| Record { spec: spec.clone(), since: now, is_renewed: false });
            if record.spec != spec {
                *record = Record { spec, since: now, is_renewed: true };
            }
            if now.duration_since(record.since) >= LEASE_DURATION {
                continue;
            }
            // Between two candidates the one that has led before stays, or else the names of their namespaces decide.
            if record.is_renewed && !is_candidate(lease) {
                return Others::Precede(another(State::Leads, proof));
            }
            if record.is_renewed && namespace < self.namespace && (owner(lease).is_some() || !is_owned) {
                return Others::Precede(another(State::IsStarting, proof));
            }
            undecided.get_or_insert_with(|| another(State::MayRun, proof));
        }
        if let Some(another) = undecided {
            return Others::Undecided(another);
        }
        // When it is asked again, this operator has led meanwhile.
        self.records.clear();
        Others::None
    }
}

/// The owner of a Lease, such as `Deployment catalog-operator`.
fn owner(lease: &Lease) -> Option<String> {
    lease.owner_references().first().map(|owner| format!("{} {}", owner.kind, owner.name))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn lease(namespace: &str, holder: &str, renewals: i32, annotated: Option<&str>) -> Lease {
        let metadata = json!({"name": NAME, "namespace": namespace, "annotations": {CANDIDATE: annotated.unwrap_or_default()}});
        // What changes doesn't matter, only that it does.
        let spec = json!({"holderIdentity": holder, "leaseTransitions": renewals});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
    }

    fn owned(mut lease: Lease) -> Lease {
        let owner = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "catalog-operator", "uid": "u1"}]);
        lease.metadata.owner_references = serde_json::from_value(owner).unwrap();
        lease
    }

    fn observed() -> Observed {
        Observed { namespace: "b".into(), records: BTreeMap::new() }
    }

    fn another(state: State, namespace: &str) -> AnotherInstallation {
        let proof = if state == State::IsInstalled { "owner Deployment catalog-operator" } else { "holder other" };
        AnotherInstallation { state, namespace: namespace.into(), proof: proof.into() }
    }

    fn precede(state: State, namespace: &str) -> Others {
        Others::Precede(another(state, namespace))
    }

    fn undecided(namespace: &str) -> Others {
        Others::Undecided(another(State::MayRun, namespace))
    }

    #[test]
    fn a_lease_that_is_renewed_elsewhere_precedes() {
        for (namespace, own) in ["a", "c"].into_iter().zip([lease("b", "this", 0, Some("this")), owned(lease("b", "this", 0, None))]) {
            let (mut observed, now) = (observed(), Instant::now());
            assert_eq!(observed.others(&[own.clone(), lease(namespace, "other", 1, None)], now), undecided(namespace));
            assert_eq!(observed.others(&[own, lease(namespace, "other", 2, None)], now), precede(State::Leads, namespace));
        }
    }

    #[test]
    fn of_two_candidates_the_namespace_that_sorts_first_stays() {
        for (namespace, expected) in [("a", precede(State::IsStarting, "a")), ("c", undecided("c"))] {
            let (mut observed, now) = (observed(), Instant::now());
            observed.others(&[lease(namespace, "other", 1, Some("other"))], now);
            assert_eq!(observed.others(&[lease(namespace, "other", 2, Some("other"))], now), expected);
        }
    }

    #[test]
    fn a_candidate_that_has_led_before_waits_until_the_other_one_has_yielded() {
        let (mut observed, now) = (observed(), Instant::now());
        let own = owned(lease("b", "this", 0, Some("this")));
        for renewal in 1..4 {
            assert_eq!(observed.others(&[own.clone(), lease("a", "other", renewal, Some("other"))], now), undecided("a"));
        }
        assert_eq!(observed.others(&[own, lease("a", "", 4, None)], now), Others::None);
    }

    #[test]
    fn the_annotation_of_an_earlier_holder_makes_no_candidate() {
        let (mut observed, now) = (observed(), Instant::now());
        observed.others(&[lease("c", "other", 1, Some("earlier"))], now);
        assert_eq!(observed.others(&[lease("c", "other", 2, Some("earlier"))], now), precede(State::Leads, "c"));
        assert!(!is_candidate(&lease("c", "", 1, Some("earlier"))));
    }

    #[test]
    fn a_lease_without_an_owner_that_is_released_or_expired_counts_no_more() {
        let (mut observed, now) = (observed(), Instant::now());
        let held = [lease("a", "other", 1, None)];
        assert_eq!(observed.others(&[lease("a", "", 1, None)], now), Others::None);
        assert_eq!(observed.others(&held, now), undecided("a"));
        assert_eq!(observed.others(&held, now + LEASE_DURATION - Duration::from_secs(1)), undecided("a"));
        assert_eq!(observed.others(&held, now + LEASE_DURATION), Others::None);
    }

    #[test]
    fn a_lease_with_an_owner_precedes_even_if_it_is_released_or_expired() {
        let (mut observed, now) = (observed(), Instant::now());
        let own = lease("b", "this", 0, Some("this"));
        for other in [owned(lease("c", "", 1, None)), owned(lease("c", "other", 1, None))] {
            for later in [Duration::ZERO, LEASE_DURATION] {
                assert_eq!(observed.others(&[own.clone(), other.clone()], now + later), precede(State::IsInstalled, "c"));
            }
        }
        // Which had led before and leads again: the other one never led, so its Lease has no owner.
        assert_eq!(observed.others(&[owned(own), lease("c", "", 1, None)], now), Others::None);
    }

    #[test]
    fn two_leases_with_owners_do_not_stop_both_installations() {
        let (mut observed, now) = (observed(), Instant::now());
        let own = owned(lease("b", "this", 0, Some("this")));
        assert_eq!(observed.others(&[own.clone(), owned(lease("a", "", 1, None))], now), Others::None);
        observed.others(&[own.clone(), owned(lease("a", "other", 1, Some("other")))], now);
        assert_eq!(observed.others(&[own, owned(lease("a", "other", 2, Some("other")))], now), precede(State::IsStarting, "a"));
    }

    #[test]
    fn the_message_names_the_lease_and_what_to_do() {
        let text = |state| another(state, "catalog-system").to_string();
        assert_eq!(
            text(State::Leads),
            "another installation of the operator leads in namespace catalog-system (Lease catalog-operator, holder other): one \
             installation serves all namespaces of a cluster; uninstall one of the two"
        );
        assert!(text(State::IsStarting).starts_with("another installation of the operator is starting in namespace catalog-system ("));
        let installed = text(State::IsInstalled);
        assert!(
            installed.contains("is installed in namespace") && installed.contains(", owner Deployment catalog-operator)"),
            "{installed}"
        );
    }
}
