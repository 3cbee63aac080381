//! Changes of objects: one log line each, and an Event for those that users should know about.

use kube::api::DynamicObject;
use serde_json::Value;

use super::{SECRETS_HASH, was_applied};
use crate::{
    kinds::Kind,
    secrets::{Data, LoginChange},
};

/// JSON pointer to the requested size of a volume.
const STORAGE: &str = "/spec/resources/requests/storage";

/// Kind of write to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The object was created.
    Created,
    /// Fields of the object were written.
    Patched,
    /// The object was deleted.
    Deleted,
}

/// One object that was created, patched or deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Kind of the object.
    pub kind: Kind,
    /// Name of the object.
    pub name: String,
    /// What was done to the object.
    pub action: Action,
    /// Why, for the log line.
    pub reason: String,
    /// Reason and note of the Event about the change, if any.
    pub event: Option<(&'static str, String)>,
    /// Field managers, such as `kubectl-edit`, whose edits of applied fields were reverted.
    pub overridden: Vec<String>,
}

impl Change {
    /// An object was applied. `managers` owned fields that it declares, `before` is the object before the write.
    pub(super) fn applied(kind: Kind, name: &str, before: Option<&DynamicObject>, declared: &Value, managers: &[String]) -> Self {
        let (action, reason) = match before {
            None => (Action::Created, "the Catalog declares it and it did not exist".to_owned()),
            Some(_) if !managers.is_empty() => {
                (Action::Patched, format!("{} changed fields that the Catalog declares", managers.join(", ")))
            }
            Some(before) if was_applied(before, declared) => {
                (Action::Patched, "fields that the Catalog declares had other values".to_owned())
            }
            Some(_) => (Action::Patched, "the Catalog or a Secret it uses has changed, or the operator was upgraded".to_owned()),
        };
        let event = event(kind, name, before, declared);
        // Otherwise the spec is new, and the managers may own fields that it declares for the first time.
        let is_edit = before.is_some_and(|before| was_applied(before, declared));
        let overridden = if is_edit { managers.to_vec() } else { Vec::new() };
        Self { kind, name: name.into(), action, reason, event, overridden }
    }

    /// A Deployment was scaled up to the minimum of its autoscaler, because `managers` had scaled it below.
    pub(super) fn scaled(name: &str, replicas: i64, managers: Vec<String>) -> Self {
        let reason = format!("the minimum of its autoscaler is {replicas}");
        Self { kind: Kind::Deployment, name: name.into(), action: Action::Patched, reason, event: None, overridden: managers }
    }

    /// A generated Secret was created.
    pub(super) fn generated(name: &str) -> Self {
        let reason = "a generated Secret did not exist".to_owned();
        Self { kind: Kind::Secret, name: name.into(), action: Action::Created, reason, event: None, overridden: Vec::new() }
    }

    /// The passwords in the Secret of the embedded database were changed.
    #[must_use]
    pub fn database_login(name: &str, change: &LoginChange) -> Self {
        let (reason, event) = match change {
            LoginChange::MissingKeysAdded => ("the active password, its role or its time was missing", None),
            LoginChange::Rotated { login } => {
                let note = format!(
                    "Secret {name} has a new password for login role {login}. The old one stays valid until all pods use the new one."
                );
                ("a rotation of the database password was requested", Some(("DatabasePasswordRotated", note)))
            }
            LoginChange::OldPasswordsRemoved => {
                let note = format!("The old password was removed from Secret {name}: all pods use the new one.");
                ("all pods use the new password of the database", Some(("DatabasePasswordRetired", note)))
            }
        };
        Self { kind: Kind::Secret, name: name.into(), action: Action::Patched, reason: reason.into(), event, overridden: Vec::new() }
    }

    /// Missing values of a generated Secret were added.
    #[must_use]
    pub fn completed(name: &str) -> Self {
        let reason = "a value of a generated Secret was missing or blank".to_owned();
        Self { kind: Kind::Secret, name: name.into(), action: Action::Patched, reason, event: None, overridden: Vec::new() }
    }

    /// A new signing key was added to its Secret, or keys whose tokens have expired were removed.
    #[must_use]
    pub fn signing_keys(name: &str, before: &Data, after: &Data) -> Self {
        let (reason, event) = if after.keys().any(|key| !before.contains_key(key)) {
            let note = format!("Secret {name} has a new signing key. Tokens that the previous key signed stay valid until they expire.");
            ("a new signing key was due or requested", Some(("SigningKeyRotated", note)))
        } else {
            ("all tokens that an old signing key signed have expired", None)
        };
        Self { kind: Kind::Secret, name: name.into(), action: Action::Patched, reason: reason.into(), event, overridden: Vec::new() }
    }

    /// An object was deleted.
    pub(super) fn deleted(kind: Kind, name: &str, reason: &str) -> Self {
        let event = Some(("Pruned", format!("{} {name} was deleted: {reason}.", kind.resource().kind)));
        Self { kind, name: name.into(), action: Action::Deleted, reason: reason.into(), event, overridden: Vec::new() }
    }

    /// Logs the change. The span of the reconcile adds the Catalog.
    pub(super) fn log(&self) {
        let (object_kind, object_name, reason) = (self.kind.resource().kind, &self.name, &self.reason);
        match self.action {
            Action::Created => tracing::info!(object_kind, object_name, reason, "object created"),
            Action::Patched => tracing::info!(object_kind, object_name, reason, "object patched"),
            Action::Deleted => tracing::info!(object_kind, object_name, reason, "object deleted"),
        }
    }
}

/// The Event about an object that was applied.
fn event(kind: Kind, name: &str, before: Option<&DynamicObject>, declared: &Value) -> Option<(&'static str, String)> {
    let Some(before) = before else {
        return (kind == Kind::Job).then(|| ("MigrationStarted", format!("Job {name} was created.")));
    };
    let was = |pointer: &str| before.data.pointer(pointer).and_then(Value::as_str);
    let is = |pointer: &str| declared.pointer(pointer).and_then(Value::as_str);
    match kind {
        Kind::PersistentVolumeClaim => {
            let (from, to) = (was(STORAGE)?, is(STORAGE)?);
            (from != to).then(|| ("VolumeGrown", format!("PersistentVolumeClaim {name} requests {to}; it requested {from} before.")))
        }
        Kind::Deployment | Kind::StatefulSet => {
            let changed = was(SECRETS_HASH)? != is(SECRETS_HASH)?;
            let described = format!("{} {name}", kind.resource().kind);
            changed
                .then(|| ("SecretsRotated", format!("The pods of {described} are replaced, because a Secret that they use has changed.")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use serde_json::json;

    use super::*;
    use crate::apply::APPLIED;

    fn object(kind: &str, data: Value) -> DynamicObject {
        let mut object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "shop", "annotations": {APPLIED: "a"}}});
        object["spec"] = data;
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn growing_a_volume_publishes_an_event_with_both_sizes() {
        let spec = |size: &str| json!({"resources": {"requests": {"storage": size}}});
        let before = object("PersistentVolumeClaim", spec("5Gi"));
        let change =
            |size: &str| Change::applied(Kind::PersistentVolumeClaim, "shop-postgres", Some(&before), &json!({"spec": spec(size)}), &[]);
        let (reason, note) = change("10Gi").event.unwrap();
        assert_eq!((reason, &*note), ("VolumeGrown", "PersistentVolumeClaim shop-postgres requests 10Gi; it requested 5Gi before."));
        assert_eq!(change("5Gi").event, None);
    }

    #[test]
    fn a_changed_secrets_hash_publishes_an_event_and_the_first_hash_does_not() {
        let spec = |hash: Option<&str>| json!({"template": {"metadata": {"annotations": {"catalog.rs/secrets-hash": hash}}}});
        let change = |before, after| {
            let before = object("Deployment", spec(before));
            Change::applied(Kind::Deployment, "shop-api", Some(&before), &json!({"spec": spec(after)}), &[]).event.map(|(reason, _)| reason)
        };
        assert_eq!(change(Some("1"), Some("2")), Some("SecretsRotated"));
        assert_eq!(change(Some("1"), Some("1")), None);
        assert_eq!(change(None, Some("1")), None);
    }

    #[test]
    fn removing_an_old_signing_key_is_not_a_rotation() {
        let keys = |names: &[&str]| -> Data { names.iter().map(|name| ((*name).to_owned(), ByteString(b"key".to_vec()))).collect() };
        let change = |before: &[&str], after: &[&str]| {
            let change = Change::signing_keys("shop-signing-keys", &keys(before), &keys(after));
            (change.reason, change.event.map(|(reason, _)| reason))
        };
        let rotated = ("a new signing key was due or requested".to_owned(), Some("SigningKeyRotated"));
        assert_eq!(change(&["1"], &["1", "2"]), rotated);
        assert_eq!(change(&["1", "2"], &["2", "3"]), rotated);
        assert_eq!(change(&["1", "2"], &["2"]), ("all tokens that an old signing key signed have expired".to_owned(), None));
    }

    #[test]
    fn the_reason_of_a_change_names_its_cause() {
        let before = object("Deployment", json!({}));
        let declared = |hash: &str| json!({"metadata": {"annotations": {APPLIED: hash}}});
        let reason = |before, hash: &str, managers: &[String]| {
            Change::applied(Kind::Deployment, "shop-api", before, &declared(hash), managers).reason
        };
        assert!(reason(None, "a", &[]).contains("did not exist"));
        assert!(reason(Some(&before), "a", &["kubectl-edit".into()]).starts_with("kubectl-edit changed"));
        assert!(reason(Some(&before), "a", &[]).contains("had other values"));
        assert!(reason(Some(&before), "b", &[]).contains("the Catalog or a Secret it uses has changed"));
    }
}
