//! What people do to a running shop, and every fault at every call while the operator follows.

use std::panic::AssertUnwindSafe;

use futures::{FutureExt, StreamExt, future::BoxFuture};
use serde_json::Value;

use super::{
    Operator,
    snapshot::{self, Snapshot, differences},
    wire::{Call, Fault, Made},
};

/// Runs beside each other. They wait for the API server most of the time.
const BESIDE: usize = 4;

/// What people do, and whatever of the operator's doing belongs in the middle of it.
type Deed = Box<dyn for<'a> Fn(&'a mut Operator) -> BoxFuture<'a, ()> + Send + Sync>;

/// A change, from a settled shop to another one.
pub struct Change {
    /// For people, and the stem of the namespaces.
    pub name: &'static str,
    /// The spec of the shop before, if there is one.
    pub before: Option<Value>,
    /// What is done to it.
    pub done: Deed,
}

/// How a change went without faults.
pub struct Reference {
    /// What was there in the end.
    pub snapshot: Snapshot,
    /// The calls of all reconciles after the change.
    pub calls: Vec<Made>,
}

impl Change {
    /// An operator whose shop is as it was before, and whose wire has not counted anything yet.
    pub async fn prepared(&self) -> Operator {
        let mut operator = Operator::new(self.name).await;
        if let Some(spec) = &self.before {
            operator.apply(spec).await.expect("the spec before is valid");
            operator.settle().await;
        }
        operator.wire().begin();
        operator
    }

    /// Without faults.
    pub async fn reference(&self) -> Reference {
        let mut operator = self.prepared().await;
        (self.done)(&mut operator).await;
        operator.settle().await;
        let calls = operator.wire().calls();
        Reference { snapshot: snapshot::take(operator.namespace()).await, calls }
    }

    /// With one fault. How often it happened.
    ///
    /// # Errors
    /// What is different in the end.
    pub async fn with(&self, call: &Call, fault: Fault, reference: &Snapshot) -> Result<usize, String> {
        let mut operator = self.prepared().await;
        operator.wire().plan(call.clone(), fault);
        (self.done)(&mut operator).await;
        operator.settle().await;
        let injected = operator.wire().injected();
        // Only an answer to a question that was asked before can be stale.
        if fault != Fault::Stale && injected == 0 {
            return Err(format!("{call} was not made again: a reconcile asks for other things each time"));
        }
        same(reference, &operator, &format!("{fault:?} at {call}")).await.map(|()| injected)
    }

    /// The same, with a panic as one failure among others.
    async fn caught(&self, call: &Call, fault: Fault, reference: &Snapshot) -> Result<usize, String> {
        let end = AssertUnwindSafe(self.with(call, fault, reference)).catch_unwind().await;
        end.unwrap_or_else(|panic| {
            let what = panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "a panic".into());
            Err(format!("{fault:?} at {call}: {what}"))
        })
    }

    /// With a first reconcile that reads nothing but what was true before the change.
    ///
    /// # Panics
    /// If that makes a difference in the end.
    pub async fn comes_to_the_same_after_a_reconcile_that_reads_the_past(&self) {
        let reference = self.reference().await;
        let mut operator = self.prepared().await;
        (self.done)(&mut operator).await;
        operator.wire().make_all_reads_stale(true);
        operator.reconcile().await;
        operator.wire().make_all_reads_stale(false);
        println!("{}: {} stale reads at once", self.name, operator.wire().injected());
        operator.settle().await;
        same(&reference.snapshot, &operator, "all reads stale").await.unwrap_or_else(|what| panic!("{}: {what}", self.name));
    }

    /// With a first reconcile of the Catalog as it was before the change.
    ///
    /// # Panics
    /// If that makes a difference in the end.
    pub async fn comes_to_the_same_after_a_reconcile_of_the_past(&self) {
        let reference = self.reference().await;
        let mut operator = self.prepared().await;
        let Some(past) = operator.catalog().await else { return };
        (self.done)(&mut operator).await;
        operator.reconcile_as(past).await;
        operator.controllers().everything_goes_well().await;
        operator.controllers().collect_garbage().await;
        operator.settle().await;
        same(&reference.snapshot, &operator, "the Catalog as it was").await.unwrap_or_else(|what| panic!("{}: {what}", self.name));
    }

    /// With each of these faults at every call. Prints how many there were.
    ///
    /// # Panics
    /// If any fault makes a difference in the end; shows each.
    pub async fn comes_to_the_same_with(&self, faults: &[Fault]) {
        let reference = self.reference().await;
        let injections = reference.calls.iter().flat_map(|made| faults.iter().map(move |fault| (made, *fault)));
        let injections: Vec<_> = injections.filter(|(made, fault)| fault.matters_at(made)).collect();
        let runs = injections.iter().map(|(made, fault)| self.caught(&made.call, *fault, &reference.snapshot));
        let ends: Vec<_> = futures::stream::iter(runs).buffer_unordered(BESIDE).collect().await;
        let happened: usize = ends.iter().flatten().sum();
        let failures: Vec<_> = ends.into_iter().filter_map(Result::err).collect();
        println!("{}: {happened} faults at {} calls", self.name, reference.calls.len());
        assert!(failures.is_empty(), "{} of {} faults made a difference:\n{}", failures.len(), injections.len(), failures.join("\n"));
    }
}

/// Whether the operator's namespace is as it should be.
async fn same(expected: &Snapshot, operator: &Operator, what: &str) -> Result<(), String> {
    let differences = differences(expected, &snapshot::take(operator.namespace()).await);
    if differences.is_empty() { Ok(()) } else { Err(format!("{what}:\n  {}", differences.join("\n  "))) }
}
