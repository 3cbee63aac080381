//! What people do to a running shop, and every fault at every call while the operator follows.

use futures::{StreamExt, future::BoxFuture};
use serde_json::Value;

use super::{
    Operator,
    snapshot::{self, Snapshot, differences},
    wire::{Call, Fault},
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
    pub calls: Vec<Call>,
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
        let calls = operator.wire().calls().into_iter().map(|made| made.call).collect();
        Reference { snapshot: snapshot::take(operator.namespace()).await, calls }
    }

    /// With one fault.
    ///
    /// # Errors
    /// What is different in the end.
    pub async fn with(&self, call: &Call, fault: Fault, reference: &Snapshot) -> Result<(), String> {
        let mut operator = self.prepared().await;
        operator.wire().plan(call.clone(), fault);
        (self.done)(&mut operator).await;
        operator.settle().await;
        if fault != Fault::Stale && operator.wire().injected() == 0 {
            return Err(format!("{call} was not made again: a reconcile asks for other things each time"));
        }
        let differences = differences(reference, &snapshot::take(operator.namespace()).await);
        if differences.is_empty() { Ok(()) } else { Err(format!("{fault:?} at {call}:\n  {}", differences.join("\n  "))) }
    }

    /// With each of these faults at every call. Prints how many there were.
    ///
    /// # Panics
    /// If any fault makes a difference in the end; shows each.
    pub async fn comes_to_the_same_with(&self, faults: &[Fault]) {
        let reference = self.reference().await;
        let injections = reference.calls.iter().flat_map(|call| faults.iter().map(move |fault| (call, *fault)));
        let injections: Vec<_> = injections.filter(|(call, fault)| fault.matters_at(call)).collect();
        let runs = injections.iter().map(|(call, fault)| self.with(call, *fault, &reference.snapshot));
        let failures: Vec<_> = futures::stream::iter(runs).buffer_unordered(BESIDE).filter_map(async |end| end.err()).collect().await;
        println!("{}: {} faults at {} calls", self.name, injections.len(), reference.calls.len());
        assert!(failures.is_empty(), "{} of {} faults made a difference:\n{}", failures.len(), injections.len(), failures.join("\n"));
    }
}
