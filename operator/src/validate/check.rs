//! Collects problems while a plan is made.

use std::collections::BTreeMap;

use super::{
    plan::{SecretKey, Skipped},
    problem::{Problem, Reason},
};
use crate::{
    crd::Quantity,
    observed::{ClaimFacts, Observed, SecretFacts},
};

/// What the value of a key has to be, said as the end of a sentence if it isn't.
pub type Rule = fn(&str) -> Result<(), String>;

/// Collects problems while a plan is made, and knows what was read, if anything was.
pub struct Check<'a> {
    observed: Option<&'a Observed>,
    /// KEDA is installed.
    pub keda: bool,
    /// Problems so far.
    pub problems: Vec<Problem>,
    /// What was skipped so far.
    pub skipped: Vec<Skipped>,
}

impl<'a> Check<'a> {
    /// Checks against what was read.
    pub fn against(observed: &'a Observed) -> Self {
        Self { observed: Some(observed), keda: observed.keda, problems: Vec::new(), skipped: Vec::new() }
    }

    /// Nothing was read.
    pub fn unseen(keda: bool) -> Self {
        Self { observed: None, keda, problems: Vec::new(), skipped: Vec::new() }
    }

    /// Notes a problem, once per field and reason.
    pub fn report(&mut self, path: &str, reason: Reason, message: String) {
        if !self.problems.iter().any(|problem| problem.path == path && problem.reason == reason) {
            self.problems.push(Problem { path: path.to_owned(), reason, message });
        }
    }

    /// Notes that a value cannot be used.
    pub fn invalid(&mut self, path: &str, message: impl Into<String>) {
        self.report(path, Reason::InvalidValue, message.into());
    }

    /// Notes that something cannot be had.
    pub fn skip(&mut self, path: String, message: impl Into<String>) {
        self.skipped.push(Skipped { path, message: message.into() });
    }

    /// The Secret `name`, which the field `path` names, is there.
    pub fn secret(&mut self, path: &str, name: &str) -> Option<&'a SecretFacts> {
        let found = self.observed?.referenced.get(name);
        if found.is_none() {
            let message = format!("there is no Secret {name} in this namespace: create it, or name another one");
            self.report(path, Reason::SecretNotFound, message);
        }
        found
    }

    /// A key of a Secret is there, and its value passes `valid`, which says what it has to be. `paths`
    /// are the fields with the names of the Secret and of the key.
    pub fn key(&mut self, paths: (&str, &str), name: &str, key: &str, valid: Rule) -> SecretKey {
        if let Some(secret) = self.secret(paths.0, name) {
            self.value(paths.1, name, secret, key, valid);
        }
        SecretKey { secret: name.to_owned(), key: key.to_owned() }
    }

    /// The value of a key of a Secret that the spec names, if it was read and is text.
    pub fn text(&self, name: &str, key: &str) -> Option<&'a str> {
        self.observed?.referenced.get(name)?.text(key)
    }

    /// `max_connections` that the operator gave to the server that runs.
    pub fn running_connections(&self) -> Option<i32> {
        self.observed?.max_connections
    }

    /// The value of a key of a Secret that the operator generates, if it is there and is text.
    pub fn generated_text(&self, name: &str, key: &str) -> Option<&'a str> {
        self.observed?.generated.get(name)?.text(key)
    }

    /// A key of a Secret that the operator generates, if it is there, is still there and usable.
    pub fn generated_key(&mut self, path: &str, name: &str, key: &str, valid: Rule) -> SecretKey {
        if let Some(secret) = self.observed.and_then(|observed| observed.generated.get(name)) {
            let before = self.problems.len();
            self.value(path, name, secret, key, valid);
            for problem in &mut self.problems[before..] {
                problem.message += "; delete the Secret, and it is generated again";
            }
        }
        SecretKey { secret: name.to_owned(), key: key.to_owned() }
    }

    fn value(&mut self, path: &str, name: &str, secret: &SecretFacts, key: &str, valid: Rule) {
        if !secret.has(key) {
            let keys: Vec<&str> = secret.keys().collect();
            let has = if keys.is_empty() { "it is empty".to_owned() } else { format!("it has {}", keys.join(", ")) };
            self.report(path, Reason::SecretKeyMissing, format!("the Secret {name} has no key {key} ({has})"));
            return;
        }
        let judged = secret.text(key).ok_or_else(|| "text".to_owned()).and_then(valid);
        if let Err(wanted) = judged {
            self.report(path, Reason::SecretValueInvalid, format!("the value of {key} in the Secret {name} is not {wanted}"));
        }
    }

    /// What is known of a claim.
    pub fn claim(&self, name: &str) -> Option<&'a ClaimFacts> {
        self.observed?.claims.get(name)
    }

    /// Whether anything was read.
    pub fn is_observed(&self) -> bool {
        self.observed.is_some()
    }

    /// The installation that each existing migration Job expects, by its name.
    pub fn migrations(&self) -> BTreeMap<String, Option<String>> {
        self.observed.map(|observed| observed.migrations.clone()).unwrap_or_default()
    }

    /// A quantity, not negative.
    pub fn quantity(&mut self, path: &str, quantity: &Quantity) -> Option<kube_quantity::ParsedQuantity> {
        let parsed = quantity.amount().ok().filter(|amount| *amount >= kube_quantity::ParsedQuantity::default());
        if parsed.is_none() {
            self.invalid(path, format!("{quantity} is not an amount: give one such as 500m, 2 or 5Gi"));
        }
        parsed
    }

    /// SHA-256 of every value that was read.
    pub fn digests(&self) -> BTreeMap<String, BTreeMap<String, [u8; 32]>> {
        let secrets = self.observed.into_iter().flat_map(|observed| observed.referenced.iter().chain(&observed.generated));
        secrets.map(|(name, secret)| (name.clone(), secret.digests())).collect()
    }

    /// Generated Secrets that exist, with their uids.
    pub fn generated_uids(&self) -> BTreeMap<String, Option<String>> {
        let generated = self.observed.into_iter().flat_map(|observed| &observed.generated);
        generated.map(|(name, secret)| (name.clone(), secret.uid().map(str::to_owned))).collect()
    }
}

/// Any text will do, if there is some.
pub fn some_text(text: &str) -> Result<(), String> {
    if text.trim().is_empty() { Err("there: it is empty".into()) } else { Ok(()) }
}

/// CA certificates.
pub fn certificates(text: &str) -> Result<(), String> {
    if text.contains("-----BEGIN CERTIFICATE-----") { Ok(()) } else { Err("a certificate in PEM form".into()) }
}
