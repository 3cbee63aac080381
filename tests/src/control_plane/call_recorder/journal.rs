//! The record of calls, planned faults and first responses.

use std::collections::{HashMap, hash_map::Entry};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};
use serde_json::Value;

use super::{
    Fault,
    call::{self, Call, Verb},
};

/// A recorded call.
#[derive(Debug, Clone)]
pub struct RecordedCall {
    /// The call.
    pub call: Call,
    /// Whether it is a write.
    pub is_write: bool,
    /// Whether it is a read whose response differs from the first response.
    pub has_changed: bool,
}

/// A response that can be repeated.
#[derive(Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

#[derive(Default)]
pub struct Journal {
    occurrences: HashMap<(Verb, String), usize>,
    made: Vec<RecordedCall>,
    plan: HashMap<Call, Fault>,
    answers: HashMap<String, Answer>,
    pub all_stale: bool,
    pub injected: usize,
}

impl Journal {
    pub fn reset(&mut self) {
        self.occurrences.clear();
        self.made.clear();
        self.plan.clear();
        self.injected = 0;
    }

    pub fn plan(&mut self, call: Call, fault: Fault) {
        self.plan.insert(call, fault);
    }

    pub fn made(&self) -> &[RecordedCall] {
        &self.made
    }

    /// Records a call. Returns its index and the fault to inject.
    pub fn record(&mut self, verb: &Verb, uri: &Uri) -> (usize, Option<Fault>) {
        let path = call::path(uri);
        let occurrence = self.occurrences.entry((verb.clone(), path.clone())).or_default();
        *occurrence += 1;
        let call = Call { verb: verb.clone(), path, occurrence: *occurrence };
        let fault = self.plan.remove(&call);
        self.made.push(RecordedCall { call, is_write: call::is_write(verb, uri), has_changed: false });
        let fault = fault.or((self.all_stale && verb == Verb::GET).then_some(Fault::Stale));
        // The first read of a path has no stale response.
        let occurs = fault.is_some_and(|fault| fault != Fault::Stale || self.answers.contains_key(&key(uri)));
        self.injected += usize::from(occurs);
        (self.made.len() - 1, fault.filter(|_| occurs))
    }

    /// Stores the first response to a read, and compares later ones with it.
    pub fn remember(&mut self, index: usize, uri: &Uri, answer: Answer) {
        match self.answers.entry(key(uri)) {
            Entry::Vacant(entry) => {
                entry.insert(answer);
            }
            Entry::Occupied(first) => {
                let has_changed = (first.get().status, content(&first.get().body)) != (answer.status, content(&answer.body));
                if let Some(made) = self.made.get_mut(index) {
                    made.has_changed = has_changed;
                }
            }
        }
    }

    /// Returns the first response to a read.
    pub fn first(&self, uri: &Uri) -> Option<Answer> {
        self.answers.get(&key(uri)).cloned()
    }
}

fn key(uri: &Uri) -> String {
    uri.path_and_query().map(ToString::to_string).unwrap_or_default()
}

/// Returns the content to compare: of a list only the items, because each list has its own resource version.
fn content(body: &Bytes) -> Value {
    match serde_json::from_slice(body).unwrap_or_default() {
        Value::Object(mut fields) if fields.contains_key("items") => fields.remove("items").unwrap_or_default(),
        whole => whole,
    }
}
