//! Collects problems during validation.

use std::collections::BTreeMap;

use super::{
    plan::{SecretKey, Skipped},
    problem::{Problem, Reason},
};
use crate::{
    crd::Quantity,
    observed::{ClaimFacts, Observed, SecretFacts},
};

/// Maximum number of characters of an annotation's value in a message. The API server accepts 256 KiB.
const MAX_QUOTED: usize = 100;

/// Checks the value of a key. The error completes the sentence "the value must be …".
pub type Rule = fn(&str) -> Result<(), String>;

/// Collects problems during validation, and gives access to the objects that were read, if any were.
pub struct Check<'a> {
    observed: Option<&'a Observed>,
    /// Whether KEDA is installed.
    pub keda: bool,
    /// Problems found so far.
    pub problems: Vec<Problem>,
    /// Parts of the spec that were skipped so far.
    pub skipped: Vec<Skipped>,
}

impl<'a> Check<'a> {
    /// Starts a validation against the objects that were read.
    pub fn against(observed: &'a Observed) -> Self {
        Self { observed: Some(observed), keda: observed.keda, problems: Vec::new(), skipped: Vec::new() }
    }

    /// Starts a validation without a cluster.
    pub fn offline(keda: bool) -> Self {
        Self { observed: None, keda, problems: Vec::new(), skipped: Vec::new() }
    }

    /// Adds a problem, once per field and reason.
    pub fn report(&mut self, path: &str, reason: Reason, message: String) {
        if !self.problems.iter().any(|problem| problem.path == path && problem.reason == reason) {
            self.problems.push(Problem { path: path.to_owned(), reason, message });
        }
    }

    /// Adds the problem that a value is invalid.
    pub fn invalid(&mut self, path: &str, message: impl Into<String>) {
        self.report(path, Reason::InvalidValue, message.into());
    }

    /// Records that the value at `path` is not applied.
    pub fn skip(&mut self, path: String, message: impl Into<String>) {
        self.skipped.push(Skipped { path, message: message.into() });
    }

    /// Returns the Secret `name`, and reports a problem of the field `path` if it doesn't exist.
    pub fn require_secret(&mut self, path: &str, name: &str) -> Option<&'a SecretFacts> {
        let found = self.observed?.referenced.get(name);
        if found.is_none() {
            let message = format!("Secret {name} not found in this namespace: create it, or reference another Secret");
            self.report(path, Reason::SecretNotFound, message);
        }
        found
    }

    /// Reports a problem if the Secret or the key doesn't exist, or if `valid` rejects the value. `paths` are the fields with the name
    /// of the Secret and with that of the key.
    pub fn require_key(&mut self, paths: (&str, &str), name: &str, key: &str, valid: Rule) -> SecretKey {
        if let Some(secret) = self.require_secret(paths.0, name) {
            self.check_value(paths.1, name, secret, key, valid);
        }
        SecretKey { secret: name.to_owned(), key: key.to_owned() }
    }

    /// Returns a value of a referenced Secret, if it exists and is text.
    pub fn referenced_text(&self, name: &str, key: &str) -> Option<&'a str> {
        self.observed?.referenced.get(name)?.text(key)
    }

    /// Returns the `max_connections` that the operator last declared for the embedded PostgreSQL.
    pub fn running_connections(&self) -> Option<i32> {
        self.observed?.max_connections
    }

    /// Returns a value of a generated Secret, if it exists and is text.
    pub fn generated_text(&self, name: &str, key: &str) -> Option<&'a str> {
        self.observed?.generated.get(name)?.text(key)
    }

    /// Reports a problem if a generated Secret has an invalid value. A missing or blank one is not reported: `crate::secrets` generates
    /// another.
    pub fn check_generated_key(&mut self, path: &str, name: &str, key: &str, valid: Rule) -> SecretKey {
        let secret = self.observed.and_then(|observed| observed.generated.get(name));
        if let Some(secret) = secret.filter(|secret| !secret.is_blank(key)) {
            let before = self.problems.len();
            self.check_value(path, name, secret, key, valid);
            for problem in &mut self.problems[before..] {
                problem.message += "; delete the Secret, and the operator generates a new one";
            }
        }
        SecretKey { secret: name.to_owned(), key: key.to_owned() }
    }

    fn check_value(&mut self, path: &str, name: &str, secret: &SecretFacts, key: &str, valid: Rule) {
        if !secret.has(key) {
            let keys: Vec<&str> = secret.keys().collect();
            let has = if keys.is_empty() { "it is empty".to_owned() } else { format!("it has {}", keys.join(", ")) };
            self.report(path, Reason::SecretKeyMissing, format!("Secret {name} has no key {key} ({has})"));
            return;
        }
        let checked = secret.text(key).ok_or_else(|| "UTF-8 text".to_owned()).and_then(valid);
        if let Err(expected) = checked {
            self.report(path, Reason::SecretValueInvalid, format!("the value of {key} in Secret {name} must be {expected}"));
        }
    }

    /// Returns the observed state of a claim.
    pub fn claim(&self, name: &str) -> Option<&'a ClaimFacts> {
        self.observed?.claims.get(name)
    }

    /// Whether objects were read from a cluster.
    pub fn is_observed(&self) -> bool {
        self.observed.is_some()
    }

    /// Returns the installation that each existing migration Job expects, by the name of the Job.
    pub fn migrations(&self) -> BTreeMap<String, Option<String>> {
        self.observed.map(|observed| observed.migrations.clone()).unwrap_or_default()
    }

    /// Parses a quantity that must not be negative.
    pub fn parse_quantity(&mut self, path: &str, quantity: &Quantity) -> Option<kube_quantity::ParsedQuantity> {
        let parsed = quantity.amount().ok().filter(|amount| *amount >= kube_quantity::ParsedQuantity::default());
        if parsed.is_none() {
            self.invalid(path, format!("{quantity} is not a quantity: use one such as 500m, 2 or 5Gi"));
        }
        parsed
    }

    /// Returns the SHA-256 of every value of every Secret that was read.
    pub fn digests(&self) -> BTreeMap<String, BTreeMap<String, [u8; 32]>> {
        let secrets = self.observed.into_iter().flat_map(|observed| observed.referenced.iter().chain(&observed.generated));
        secrets.map(|(name, secret)| (name.clone(), secret.digests())).collect()
    }

    /// Returns the names and uids of the generated Secrets that exist.
    pub fn generated_uids(&self) -> BTreeMap<String, Option<String>> {
        let generated = self.observed.into_iter().flat_map(|observed| &observed.generated);
        generated.map(|(name, secret)| (name.clone(), secret.uid().map(str::to_owned))).collect()
    }
}

/// Returns the start of an annotation's value in quotes.
pub fn quoted(value: &str) -> String {
    format!("{:?}", value.chars().take(MAX_QUOTED).collect::<String>())
}

/// Accepts any text that isn't blank.
pub fn some_text(text: &str) -> Result<(), String> {
    if text.trim().is_empty() { Err("set: it is empty".into()) } else { Ok(()) }
}

/// Accepts PEM text with a certificate.
pub fn certificates(text: &str) -> Result<(), String> {
    if text.contains("-----BEGIN CERTIFICATE-----") { Ok(()) } else { Err("a certificate in PEM form".into()) }
}
