//! What a wire knows.

use std::collections::HashMap;

use http::{HeaderMap, StatusCode, Uri};

use super::{
    Fault,
    call::{self, Call, Verb},
};
use bytes::Bytes;

/// A call that was made.
#[derive(Debug, Clone)]
pub struct Made {
    /// Its name.
    pub call: Call,
    /// Whether it changes something.
    pub is_write: bool,
}

/// An answer that can be given again.
#[derive(Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

#[derive(Default)]
pub struct Journal {
    occurrences: HashMap<(Verb, String), usize>,
    made: Vec<Made>,
    plan: HashMap<Call, Fault>,
    answers: HashMap<String, Answer>,
    pub all_stale: bool,
    pub injected: usize,
}

impl Journal {
    pub fn begin(&mut self) {
        self.occurrences.clear();
        self.made.clear();
        self.plan.clear();
        self.injected = 0;
    }

    pub fn plan(&mut self, call: Call, fault: Fault) {
        self.plan.insert(call, fault);
    }

    pub fn made(&self) -> &[Made] {
        &self.made
    }

    /// Gives a call its number, and says what shall happen to it.
    pub fn number(&mut self, verb: &Verb, uri: &Uri) -> Option<Fault> {
        let path = call::path(uri);
        let occurrence = self.occurrences.entry((verb.clone(), path.clone())).or_default();
        *occurrence += 1;
        let call = Call { verb: verb.clone(), path, occurrence: *occurrence };
        let fault = self.plan.remove(&call);
        self.made.push(Made { call, is_write: call::is_write(verb, uri) });
        let fault = fault.or((self.all_stale && verb == Verb::GET).then_some(Fault::Stale));
        // A read that was never made before has no stale answer.
        let happens = fault.is_some_and(|fault| fault != Fault::Stale || self.answers.contains_key(&key(uri)));
        self.injected += usize::from(happens);
        fault.filter(|_| happens)
    }

    /// Keeps the first answer to a question.
    pub fn remember(&mut self, uri: &Uri, answer: &Answer) {
        self.answers.entry(key(uri)).or_insert_with(|| answer.clone());
    }

    /// The first answer to a question.
    pub fn first(&self, uri: &Uri) -> Option<Answer> {
        self.answers.get(&key(uri)).cloned()
    }
}

fn key(uri: &Uri) -> String {
    uri.path_and_query().map(ToString::to_string).unwrap_or_default()
}
