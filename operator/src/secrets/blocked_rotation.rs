//! Finds the objects because of which a rotation of the database password cannot start or finish.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use kube::{ResourceExt, api::DynamicObject};

use super::{
    Data,
    database_login::{USERNAME, has_old_passwords, read_changed_at, text},
    in_use::{keda_logins, login, progressed_at, rolled_out_at},
};
use crate::{
    kinds::Kind,
    live::{Live, managers::has_applied},
};

/// How long a rotation may take, or a rollout may make no progress, before the objects that block it are reported. Most rotations take
/// less than ten minutes.
const REPORT_AFTER: SignedDuration = SignedDuration::from_mins(15);

/// A rotation that cannot start or finish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockedRotation {
    /// When it is reported.
    pub report_at: Timestamp,
    /// Names the objects that block it, and how to continue.
    pub message: String,
}

impl BlockedRotation {
    /// Finds the objects that don't use the active login role of the Secret's `data`, if a rotation should have started or finished.
    /// `requested` is the instant for which a rotation is requested.
    #[must_use]
    pub fn find(
        live: &Live,
        deployments: impl IntoIterator<Item = String>,
        data: &Data,
        requested: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Self> {
        let active = text(data, USERNAME)?;
        let changed_at = read_changed_at(data, active)?;
        let (since, state) = if has_old_passwords(data, active) {
            (changed_at, format!("the rotation of the database password at {changed_at} has not finished, and the old password is valid"))
        } else {
            let since = requested.filter(|at| changed_at < *at && *at <= now)?;
            (since, format!("the rotation of the database password that was requested for {since} has not started"))
        };
        let in_deployments = deployments.into_iter().filter_map(|name| {
            let deployment = live.get(Kind::Deployment, &name);
            // A request may be older than the rollout: it arrives late, or the Catalog was paused.
            let since = deployment.and_then(progressed_at).map_or(since, |progressed_at| since.max(progressed_at));
            Some((since, deployment_message(&name, deployment, active)?))
        });
        // Triggers of one object mostly use the same role.
        let in_keda: BTreeSet<_> = keda_logins(live)
            .filter(|(_, login)| *login != active)
            .map(|(object, login)| (since, keda_message(object, login, active)))
            .collect();
        let (times, messages): (Vec<_>, Vec<_>) = in_deployments.chain(in_keda).unzip();
        let first = times.into_iter().min()?;
        Some(Self { report_at: first + REPORT_AFTER, message: format!("{state}, because {}", messages.join(", and ")) })
    }
}

/// What a Deployment lacks to use the `active` login role in all its pods.
fn deployment_message(name: &str, deployment: Option<&DynamicObject>, active: &str) -> Option<String> {
    let Some(deployment) = deployment else { return Some(format!("Deployment {name} does not exist: see Migrated and Degraded")) };
    match login(deployment) {
        Some(login) if login == active => {
            rolled_out_at(deployment).is_none().then(|| format!("Deployment {name} is replacing its pods: see Progressing"))
        }
        Some(login) => Some(format!("Deployment {name} uses login role {login} instead of {active}: see Migrated and Degraded")),
        None => Some(format!("Deployment {name} has no variable PGUSER: see Migrated and Degraded")),
    }
}

/// That a `ScaledObject` or `TriggerAuthentication` uses another login role, and what to do. The operator changes its own objects itself.
fn keda_message(object: &DynamicObject, login: &str, active: &str) -> String {
    let kind = object.types.as_ref().map_or("object", |types| types.kind.as_str());
    let name = object.name_any();
    if has_applied(object) {
        format!("{kind} {name} uses login role {login} instead of {active}: see Migrated and Degraded")
    } else {
        format!("{kind} {name} uses login role {login}: change it to {active} or delete {kind} {name}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::secrets::entry;

    const CHANGED_AT: &str = "2026-11-30T10:00:00Z";

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    fn object(kind: Kind, name: &str, rest: &Value) -> (Kind, DynamicObject) {
        let resource = kind.resource();
        let mut object = json!({"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}});
        object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        (kind, serde_json::from_value(object).unwrap())
    }

    fn deployment(login: &str, reason: &str) -> (Kind, DynamicObject) {
        let containers = json!([{"name": "api", "env": [{"name": "PGUSER", "value": login}]}]);
        let progressing = json!({"type": "Progressing", "status": "True", "reason": reason, "lastUpdateTime": CHANGED_AT});
        let status = json!({"replicas": 1, "updatedReplicas": 1, "conditions": [progressing]});
        object(Kind::Deployment, "shop-api", &json!({"spec": {"template": {"spec": {"containers": containers}}}, "status": status}))
    }

    fn scaled_object(login: &str) -> (Kind, DynamicObject) {
        object(Kind::ScaledObject, "reports", &json!({"spec": {"triggers": [{"metadata": {"userName": login}}]}}))
    }

    /// An object with this field of `metadata.managedFields`: the operator has applied it at this time.
    fn applied((kind, mut object): (Kind, DynamicObject), time: &str) -> (Kind, DynamicObject) {
        let entry = json!({"manager": "catalog-operator", "operation": "Apply", "time": time});
        object.metadata.managed_fields = Some(vec![serde_json::from_value(entry).unwrap()]);
        (kind, object)
    }

    fn find(objects: Vec<(Kind, DynamicObject)>, keys: &[&str], requested: Option<&str>) -> Option<BlockedRotation> {
        let data = [entry(USERNAME, "catalog_b"), entry("changed-at", CHANGED_AT)].into_iter();
        let data: Data = data.chain(keys.iter().map(|key| entry(key, "x"))).collect();
        BlockedRotation::find(&Live::of(objects), ["shop-api".to_owned()], &data, requested.map(at), at("2026-11-30T12:00:00Z"))
    }

    #[test]
    fn the_objects_that_block_the_end_of_a_rotation_are_named() {
        let rolled_out = deployment("catalog_b", "NewReplicaSetAvailable");
        let both = ["catalog_a", "catalog_b"];
        let found = find(vec![rolled_out.clone(), scaled_object("catalog_a")], &both, None).unwrap();
        assert_eq!(found.report_at, at("2026-11-30T10:15:00Z"));
        let expected = "the rotation of the database password at 2026-11-30T10:00:00Z has not finished, and the old password is valid, \
                        because ScaledObject reports uses login role catalog_a: change it to catalog_b or delete ScaledObject reports";
        assert_eq!(found.message, expected);
        assert_eq!(find(vec![rolled_out.clone(), scaled_object("catalog_b")], &both, None), None);
        assert_eq!(find(vec![rolled_out, scaled_object("catalog_a")], &["catalog_b"], None), None, "no rotation is in progress");
        for (objects, expected) in [
            (vec![], "Deployment shop-api does not exist: see Migrated and Degraded"),
            (
                vec![deployment("catalog_a", "NewReplicaSetAvailable")],
                "Deployment shop-api uses login role catalog_a instead of catalog_b: see Migrated and Degraded",
            ),
            (vec![deployment("catalog_b", "ReplicaSetUpdated")], "Deployment shop-api is replacing its pods: see Progressing"),
        ] {
            let found = find(objects, &both, None).unwrap();
            assert!(found.message.ends_with(&format!("because {expected}")), "{found:?}");
        }
    }

    #[test]
    fn an_object_is_named_once_and_one_of_the_operator_need_not_be_deleted() {
        let triggers = json!([{"metadata": {"userName": "catalog_a"}}, {"metadata": {"userName": "catalog_a"}}]);
        let scaled_object = object(Kind::ScaledObject, "shop-notifier", &json!({"spec": {"triggers": triggers}}));
        let message = |scaled_object| {
            let objects = vec![deployment("catalog_b", "NewReplicaSetAvailable"), scaled_object];
            let message = find(objects, &["catalog_a", "catalog_b"], None).unwrap().message;
            message.split_once("because ").unwrap().1.to_owned()
        };
        let expected = "ScaledObject shop-notifier uses login role catalog_a: change it to catalog_b or delete ScaledObject shop-notifier";
        assert_eq!(message(scaled_object.clone()), expected);
        let expected = "ScaledObject shop-notifier uses login role catalog_a instead of catalog_b: see Migrated and Degraded";
        assert_eq!(message(applied(scaled_object, CHANGED_AT)), expected);
    }

    #[test]
    fn a_rollout_is_reported_fifteen_minutes_after_it_began_or_progressed() {
        let report_at = |objects, requested| find(objects, &["catalog_b"], Some(requested)).unwrap().report_at;
        let rollout = || deployment("catalog_b", "ReplicaSetUpdated");
        assert_eq!(report_at(vec![rollout()], "2026-11-30T11:00:00Z"), at("2026-11-30T11:15:00Z"), "it began before the request");
        let later = || applied(rollout(), "2026-11-30T11:40:00Z");
        assert_eq!(report_at(vec![later()], "2026-11-30T11:00:00Z"), at("2026-11-30T11:55:00Z"), "the operator has just applied it");
        let (kind, mut progressed) = rollout();
        progressed.data["status"]["conditions"][0]["lastUpdateTime"] = json!("2026-11-30T11:50:00Z");
        assert_eq!(report_at(vec![(kind, progressed)], "2026-11-30T11:00:00Z"), at("2026-11-30T12:05:00Z"));
        let other = || scaled_object("reporting");
        assert_eq!(report_at(vec![later(), other()], "2026-11-30T11:00:00Z"), at("2026-11-30T11:15:00Z"), "another object blocks it");
    }

    #[test]
    fn the_objects_that_block_the_start_of_a_requested_rotation_are_named() {
        let objects = || vec![deployment("catalog_b", "NewReplicaSetAvailable"), scaled_object("reporting")];
        let found = find(objects(), &["catalog_b"], Some("2026-11-30T11:00:00Z")).unwrap();
        assert_eq!(found.report_at, at("2026-11-30T11:15:00Z"));
        assert!(
            found.message.contains("was requested for 2026-11-30T11:00:00Z has not started, because ScaledObject reports"),
            "{found:?}"
        );
        assert_eq!(find(objects(), &["catalog_b"], Some("2026-11-30T09:00:00Z")), None, "the password is newer");
        assert_eq!(find(objects(), &["catalog_b"], Some("2026-11-30T13:00:00Z")), None, "it is requested for later");
    }
}
