//! Finds other installations of the operator in the cluster. Each holds a Lease of the same name in its own namespace.
//!
//! An operator that holds its own Lease reads those of other namespaces before it leads. Of two that start at the same time,
//! at least one sees the other, because each writes its Lease before it reads.

use std::collections::BTreeMap;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::{Api, Client, ResourceExt, api::ListParams};
use tokio::time::Instant;

use super::{LEASE_DURATION, NAME};

/// Annotation of a Lease whose holder is a candidate: it doesn't lead yet. The value is the holder, because older releases leave the
/// annotation in place when they become the holder.
pub const CANDIDATE: &str = "catalog.rs/candidate";

/// Another installation of the operator in this cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "another installation of the operator {} in namespace {namespace} (Lease {NAME}, {evidence}): \
     one installation serves all namespaces of a cluster; uninstall one of the two",
    .state.verb()
)]
pub struct AnotherInstallation {
    state: State,
    namespace: String,
    /// The holder or owner of its Lease.
    evidence: String,
}

/// State of another installation, as far as its Lease shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Leads,
    IsStarting,
    /// Its Deployment exists. Its pods may or may not run.
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

/// Whether another installation keeps this one from leading.
#[derive(Debug, PartialEq, Eq)]
pub enum Others {
    /// No other installation runs.
    None,
    /// Another installation may be running, or is about to yield. Check again.
    Undecided(AnotherInstallation),
    /// Another installation leads or takes precedence.
    MustYieldTo(AnotherInstallation),
}

/// Whether the holder of the Lease is a candidate, which doesn't lead yet.
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
    /// Finds installations in all namespaces but `namespace`.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { api: Api::all(client), observed: Observed { namespace: namespace.into(), records: BTreeMap::new() } }
    }

    /// Lists the Leases of all installations and evaluates those of the others.
    ///
    /// # Errors
    /// If Leases cannot be listed.
    pub async fn find_others(&mut self) -> Result<Others, kube::Error> {
        let leases = self.api.list(&leases_of_installations()).await?;
        Ok(self.observed.evaluate(&leases.items, Instant::now()))
    }

    /// Checks that Leases of all namespaces can be listed.
    ///
    /// # Errors
    /// If they cannot.
    pub async fn check_access(&self) -> Result<(), kube::Error> {
        self.api.list_metadata(&leases_of_installations().limit(1)).await.map(|_| ())
    }
}

/// Selects the Leases of all installations. RBAC allows listing only Leases of this name.
fn leases_of_installations() -> ListParams {
    ListParams::default().fields(&format!("metadata.name={NAME}"))
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
    /// A Lease is live after it was seen to change, and has expired after it was seen unchanged for a lease duration. A Lease with an
    /// owner counts even if it isn't live, because its installation has led and still exists.
    fn evaluate(&mut self, leases: &[Lease], now: Instant) -> Others {
        let (own, others): (Vec<_>, Vec<_>) = leases.iter().partition(|lease| lease.namespace().as_ref() == Some(&self.namespace));
        let is_owned = own.iter().any(|lease| owner(lease).is_some());
        let mut undecided = None;
        for lease in others {
            let (namespace, spec) = (lease.namespace().unwrap_or_default(), lease.spec.clone().unwrap_or_default());
            let holder = spec.holder_identity.clone().filter(|holder| !holder.is_empty());
            let another = |state, evidence| AnotherInstallation { state, namespace: namespace.clone(), evidence };
            if let Some(owner) = owner(lease).filter(|_| !is_owned) {
                return Others::MustYieldTo(another(State::IsInstalled, format!("owner {owner}")));
            }
            let Some(holder) = holder else {
                self.records.remove(&namespace);
                continue;
            };
            let evidence = format!("holder {holder}");
            let record =
                self.records.entry(namespace.clone()).or_insert_with(|| Record { spec: spec.clone(), since: now, is_renewed: false });
            if record.spec != spec {
                *record = Record { spec, since: now, is_renewed: true };
            }
            if now.duration_since(record.since) >= LEASE_DURATION {
                continue;
            }
            // A candidate whose Lease has no owner yields to this installation. One of an earlier release that may not list Leases would
            // renew its Lease forever.
            if is_owned && is_candidate(lease) && owner(lease).is_none() {
                continue;
            }
            // Of two candidates, the one that led before wins; if neither or both did, the namespace that sorts first wins.
            if record.is_renewed && !is_candidate(lease) {
                return Others::MustYieldTo(another(State::Leads, evidence));
            }
            if record.is_renewed && namespace < self.namespace && (owner(lease).is_some() || !is_owned) {
                return Others::MustYieldTo(another(State::IsStarting, evidence));
            }
            undecided.get_or_insert_with(|| another(State::MayRun, evidence));
        }
        if let Some(another) = undecided {
            return Others::Undecided(another);
        }
        // The next call happens only after this operator has led and lost the Lease, so earlier observations are stale.
        self.records.clear();
        Others::None
    }
}

/// Describes the owner of a Lease, such as `Deployment catalog-operator`.
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
        // Any change of the spec counts as a renewal.
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
        let evidence = if state == State::IsInstalled { "owner Deployment catalog-operator" } else { "holder other" };
        AnotherInstallation { state, namespace: namespace.into(), evidence: evidence.into() }
    }

    fn must_yield_to(state: State, namespace: &str) -> Others {
        Others::MustYieldTo(another(state, namespace))
    }

    fn undecided(namespace: &str) -> Others {
        Others::Undecided(another(State::MayRun, namespace))
    }

    #[test]
    fn an_operator_yields_to_a_lease_that_another_installation_renews() {
        for (namespace, own) in ["a", "c"].into_iter().zip([lease("b", "this", 0, Some("this")), owned(lease("b", "this", 0, None))]) {
            let (mut observed, now) = (observed(), Instant::now());
            assert_eq!(observed.evaluate(&[own.clone(), lease(namespace, "other", 1, None)], now), undecided(namespace));
            assert_eq!(observed.evaluate(&[own, lease(namespace, "other", 2, None)], now), must_yield_to(State::Leads, namespace));
        }
    }

    #[test]
    fn of_two_candidates_the_namespace_that_sorts_first_wins() {
        for (namespace, expected) in [("a", must_yield_to(State::IsStarting, "a")), ("c", undecided("c"))] {
            let (mut observed, now) = (observed(), Instant::now());
            observed.evaluate(&[lease(namespace, "other", 1, Some("other"))], now);
            assert_eq!(observed.evaluate(&[lease(namespace, "other", 2, Some("other"))], now), expected);
        }
    }

    #[test]
    fn an_installation_that_led_before_does_not_wait_for_a_candidate_that_never_led() {
        let (mut observed, now) = (observed(), Instant::now());
        let own = owned(lease("b", "this", 0, Some("this")));
        for renewal in 1..4 {
            assert_eq!(observed.evaluate(&[own.clone(), lease("a", "other", renewal, Some("other"))], now), Others::None);
        }
    }

    #[test]
    fn the_annotation_of_an_earlier_holder_is_ignored() {
        let (mut observed, now) = (observed(), Instant::now());
        observed.evaluate(&[lease("c", "other", 1, Some("earlier"))], now);
        assert_eq!(observed.evaluate(&[lease("c", "other", 2, Some("earlier"))], now), must_yield_to(State::Leads, "c"));
        assert!(!is_candidate(&lease("c", "", 1, Some("earlier"))));
    }

    #[test]
    fn a_released_or_expired_lease_without_an_owner_is_ignored() {
        let (mut observed, now) = (observed(), Instant::now());
        let held = [lease("a", "other", 1, None)];
        assert_eq!(observed.evaluate(&[lease("a", "", 1, None)], now), Others::None);
        assert_eq!(observed.evaluate(&held, now), undecided("a"));
        assert_eq!(observed.evaluate(&held, now + LEASE_DURATION - Duration::from_secs(1)), undecided("a"));
        assert_eq!(observed.evaluate(&held, now + LEASE_DURATION), Others::None);
    }

    #[test]
    fn an_operator_yields_to_a_lease_with_an_owner_even_if_it_is_released_or_expired() {
        let (mut observed, now) = (observed(), Instant::now());
        let own = lease("b", "this", 0, Some("this"));
        for other in [owned(lease("c", "", 1, None)), owned(lease("c", "other", 1, None))] {
            for later in [Duration::ZERO, LEASE_DURATION] {
                assert_eq!(observed.evaluate(&[own.clone(), other.clone()], now + later), must_yield_to(State::IsInstalled, "c"));
            }
        }
        // This installation has led before. The other one never led, so its Lease has no owner.
        assert_eq!(observed.evaluate(&[owned(own), lease("c", "", 1, None)], now), Others::None);
    }

    #[test]
    fn two_leases_with_owners_do_not_stop_both_installations() {
        let (mut observed, now) = (observed(), Instant::now());
        let own = owned(lease("b", "this", 0, Some("this")));
        assert_eq!(observed.evaluate(&[own.clone(), owned(lease("a", "", 1, None))], now), Others::None);
        observed.evaluate(&[own.clone(), owned(lease("a", "other", 1, Some("other")))], now);
        assert_eq!(observed.evaluate(&[own, owned(lease("a", "other", 2, Some("other")))], now), must_yield_to(State::IsStarting, "a"));
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
