//! What was changed in the cluster: one log line each, and an Event where people should know.

use kube::api::DynamicObject;
use serde_json::Value;

use super::{SECRETS_HASH, was_applied};
use crate::{kinds::Kind, secrets::LoginChange};

/// Requested size of a volume.
const STORAGE: &str = "/spec/resources/requests/storage";

/// What was done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It was created.
    Created,
    /// Some of its fields were written.
    Patched,
    /// It was deleted.
    Deleted,
}

/// One object that was created, patched or deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// What was done to it.
    pub action: Action,
    /// Why.
    pub reason: String,
    /// Reason and note of an Event, if there is one about it.
    pub event: Option<(&'static str, String)>,
    /// Managers such as `kubectl-edit` that had changed what was applied, and whose edit was reverted.
    pub overridden: Vec<String>,
}

impl Change {
    /// An object was applied that was `before`, and whose fields these managers had changed.
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
        // Otherwise another spec is applied, and takes over fields that nothing was declared of.
        let is_edit = before.is_some_and(|before| was_applied(before, declared));
        let overridden = if is_edit { managers.to_vec() } else { Vec::new() };
        Self { kind, name: name.into(), action, reason, event, overridden }
    }

    /// A Deployment was scaled up to the minimum of its autoscaler, below which these managers had scaled it.
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
            LoginChange::Completed => ("the active password, its role or its time was missing", None),
            LoginChange::Rotated { login } => {
                let note =
                    format!("Secret {name} has a new password, of the login role {login}. The one before stays valid until pods use it.");
                ("a rotation of the database password was requested", Some(("DatabasePasswordRotated", note)))
            }
            LoginChange::Retired => {
                let note = format!("Secret {name} no longer has the password of before the rotation: all pods use the new one.");
                ("all pods use the new password of the database", Some(("DatabasePasswordRetired", note)))
            }
        };
        Self { kind: Kind::Secret, name: name.into(), action: Action::Patched, reason: reason.into(), event, overridden: Vec::new() }
    }

    /// A generated Secret got another signing key.
    #[must_use]
    pub fn rotated(name: &str) -> Self {
        let event = Some((
            "SigningKeyRotated",
            format!("Secret {name} has a new signing key. Tokens of the key before stay valid until they expire."),
        ));
        Self {
            kind: Kind::Secret,
            name: name.into(),
            action: Action::Patched,
            reason: "a new signing key was due or requested".into(),
            event,
            overridden: Vec::new(),
        }
    }

    /// An object was deleted.
    pub(super) fn deleted(kind: Kind, name: &str, reason: &str) -> Self {
        let event = Some(("Pruned", format!("{} {name} was deleted: {reason}.", kind.resource().kind)));
        Self { kind, name: name.into(), action: Action::Deleted, reason: reason.into(), event, overridden: Vec::new() }
    }

    /// Writes its log line. The span of the reconcile adds the Catalog.
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
    use serde_json::json;

    use super::*;
    use crate::apply::APPLIED;

    fn object(kind: &str, data: Value) -> DynamicObject {
        let mut object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "shop", "annotations": {APPLIED: "a"}}});
        object["spec"] = data;
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn a_volume_that_grows_is_an_event_with_both_sizes() {
        let spec = |size: &str| json!({"resources": {"requests": {"storage": size}}});
        let before = object("PersistentVolumeClaim", spec("5Gi"));
        let change =
            |size: &str| Change::applied(Kind::PersistentVolumeClaim, "shop-postgres", Some(&before), &json!({"spec": spec(size)}), &[]);
        let (reason, note) = change("10Gi").event.unwrap();
        assert_eq!((reason, &*note), ("VolumeGrown", "PersistentVolumeClaim shop-postgres requests 10Gi; it requested 5Gi before."));
        assert_eq!(change("5Gi").event, None);
    }

    #[test]
    fn secrets_that_change_are_an_event_and_their_first_hash_is_none() {
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
    fn the_reason_says_who_or_what_made_a_write_necessary() {
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
