//! Injects each fault at each API call of a change, and compares the final objects with those of a run without faults.

use std::panic::AssertUnwindSafe;

use futures::{FutureExt, StreamExt, future::BoxFuture};
use serde_json::Value;

use super::{
    Operator,
    call_recorder::{Call, Fault, RecordedCall},
    snapshot::{self, Snapshot, differences},
};

/// Concurrent runs. They wait for the API server most of the time.
const CONCURRENT_RUNS: usize = 4;

/// The steps of a user, with reconciles between them where the change needs those.
type Action = Box<dyn for<'a> Fn(&'a mut Operator) -> BoxFuture<'a, ()> + Send + Sync>;

/// A change of a shop that is ready, or the creation of one.
pub struct Change {
    /// The name in the output and in the names of namespaces.
    pub name: &'static str,
    /// The spec before the change, if a Catalog exists.
    pub before: Option<Value>,
    /// Makes the change.
    pub action: Action,
}

/// The result of a change without faults.
pub struct Reference {
    /// The objects at the end.
    pub snapshot: Snapshot,
    /// The calls of all reconciles after the change.
    pub calls: Vec<RecordedCall>,
}

impl Change {
    /// Returns an operator with a ready shop of the spec before, and an empty record of calls.
    pub async fn prepare(&self) -> Operator {
        let mut operator = Operator::new(self.name).await;
        if let Some(spec) = &self.before {
            operator.apply(spec).await.expect("the spec before is valid");
            operator.reconcile_until_ready().await;
        }
        operator.recorder().reset();
        operator
    }

    /// Runs the change without faults.
    pub async fn run_without_faults(&self) -> Reference {
        let mut operator = self.prepare().await;
        (self.action)(&mut operator).await;
        operator.reconcile_until_ready().await;
        let calls = operator.recorder().calls();
        Reference { snapshot: snapshot::take(operator.namespace()).await, calls }
    }

    /// Runs the change with one fault. Returns how often the fault occurred.
    ///
    /// # Errors
    /// If the final objects differ from `reference`.
    pub async fn run_with_fault(&self, call: &Call, fault: Fault, reference: &Snapshot) -> Result<usize, String> {
        let mut operator = self.prepare().await;
        operator.recorder().plan(call.clone(), fault);
        (self.action)(&mut operator).await;
        operator.reconcile_until_ready().await;
        let injected = operator.recorder().injected();
        // A call is stale only if its response was recorded before.
        if fault != Fault::Stale && injected == 0 {
            return Err(format!("{call} was not made in this run: the calls of a reconcile are not deterministic"));
        }
        compare(reference, &operator, &format!("{fault:?} at {call}")).await.map(|()| injected)
    }

    /// Runs the change with one fault, and returns a panic as an error.
    async fn run_catching_panics(&self, call: &Call, fault: Fault, reference: &Snapshot) -> Result<usize, String> {
        let end = AssertUnwindSafe(self.run_with_fault(call, fault, reference)).catch_unwind().await;
        end.unwrap_or_else(|panic| {
            let what = panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "a panic".into());
            Err(format!("{fault:?} at {call}: {what}"))
        })
    }

    /// Runs the change with a first reconcile in which all reads return the state before the change.
    ///
    /// # Panics
    /// If the final objects differ from those without faults.
    pub async fn assert_converges_after_stale_reads(&self) {
        let reference = self.run_without_faults().await;
        let mut operator = self.prepare().await;
        (self.action)(&mut operator).await;
        operator.recorder().make_all_reads_stale(true);
        operator.reconcile().await;
        operator.recorder().make_all_reads_stale(false);
        println!("{}: {} stale reads at once", self.name, operator.recorder().injected());
        operator.reconcile_until_ready().await;
        compare(&reference.snapshot, &operator, "all reads stale").await.unwrap_or_else(|what| panic!("{}: {what}", self.name));
    }

    /// Runs the change with a first reconcile of the Catalog before the change.
    ///
    /// # Panics
    /// If the final objects differ from those without faults.
    pub async fn assert_converges_after_an_outdated_reconcile(&self) {
        let reference = self.run_without_faults().await;
        let mut operator = self.prepare().await;
        let Some(past) = operator.catalog().await else { return };
        (self.action)(&mut operator).await;
        operator.reconcile_as(past).await;
        operator.controllers().complete_all().await;
        operator.controllers().collect_garbage().await;
        operator.reconcile_until_ready().await;
        compare(&reference.snapshot, &operator, "reconcile of the previous Catalog")
            .await
            .unwrap_or_else(|what| panic!("{}: {what}", self.name));
    }

    /// Runs the change once for each of these faults at each call. Prints the number of faults.
    ///
    /// # Panics
    /// If the final objects of any run differ from those without faults; lists each difference.
    pub async fn assert_converges_with_each_fault(&self, faults: &[Fault]) {
        let reference = self.run_without_faults().await;
        let injections = reference.calls.iter().flat_map(|made| faults.iter().map(move |fault| (made, *fault)));
        let injections: Vec<_> = injections.filter(|(made, fault)| fault.matters_at(made)).collect();
        let runs = injections.iter().map(|(made, fault)| self.run_catching_panics(&made.call, *fault, &reference.snapshot));
        let ends: Vec<_> = futures::stream::iter(runs).buffer_unordered(CONCURRENT_RUNS).collect().await;
        let happened: usize = ends.iter().flatten().sum();
        let failures: Vec<_> = ends.into_iter().filter_map(Result::err).collect();
        println!("{}: {happened} faults at {} calls", self.name, reference.calls.len());
        assert!(failures.is_empty(), "{} of {} faults made a difference:\n{}", failures.len(), injections.len(), failures.join("\n"));
    }
}

/// Compares the objects in the operator's namespace with `expected`.
async fn compare(expected: &Snapshot, operator: &Operator, what: &str) -> Result<(), String> {
    let differences = differences(expected, &snapshot::take(operator.namespace()).await);
    if differences.is_empty() { Ok(()) } else { Err(format!("{what}:\n  {}", differences.join("\n  "))) }
}
