//! What a wire knows.

use std::collections::{HashMap, hash_map::Entry};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};
use serde_json::Value;

use super::{
    Fault,
    call::{self, Call, Verb},
};

/// A call that was made.
#[derive(Debug, Clone)]
pub struct Made {
    /// Its name.
    pub call: Call,
    /// Whether it changes something.
    pub is_write: bool,
    /// Whether it read something else than when the same was asked first.
    pub is_news: bool,
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

    /// Gives a call its number, and says which that is and what shall happen to it.
    pub fn number(&mut self, verb: &Verb, uri: &Uri) -> (usize, Option<Fault>) {
        let path = call::path(uri);
        let occurrence = self.occurrences.entry((verb.clone(), path.clone())).or_default();
        *occurrence += 1;
        let call = Call { verb: verb.clone(), path, occurrence: *occurrence };
        let fault = self.plan.remove(&call);
        self.made.push(Made { call, is_write: call::is_write(verb, uri), is_news: false });
        let fault = fault.or((self.all_stale && verb == Verb::GET).then_some(Fault::Stale));
        // A read that was never made before has no stale answer.
        let happens = fault.is_some_and(|fault| fault != Fault::Stale || self.answers.contains_key(&key(uri)));
        self.injected += usize::from(happens);
        (self.made.len() - 1, fault.filter(|_| happens))
    }

    /// Keeps the first answer to a question, and compares later ones with it.
    pub fn remember(&mut self, number: usize, uri: &Uri, answer: Answer) {
        match self.answers.entry(key(uri)) {
            Entry::Vacant(place) => {
                place.insert(answer);
            }
            Entry::Occupied(first) => {
                let is_news = (first.get().status, said(&first.get().body)) != (answer.status, said(&answer.body));
                if let Some(made) = self.made.get_mut(number) {
                    made.is_news = is_news;
                }
            }
        }
    }

    /// The first answer to a question.
    pub fn first(&self, uri: &Uri) -> Option<Answer> {
        self.answers.get(&key(uri)).cloned()
    }
}

fn key(uri: &Uri) -> String {
    uri.path_and_query().map(ToString::to_string).unwrap_or_default()
}

/// What an answer says: of a list the items, since every list has a version of its own.
fn said(body: &Bytes) -> Value {
    match serde_json::from_slice(body).unwrap_or_default() {
        Value::Object(mut fields) if fields.contains_key("items") => fields.remove("items").unwrap_or_default(),
        whole => whole,
    }
}
