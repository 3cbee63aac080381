//! Finds the login role of the embedded database that pods and KEDA use.

use jiff::Timestamp;
use kube::api::DynamicObject;
use serde_json::Value;

use crate::{
    kinds::Kind,
    live::{Live, conditions::conditions, managers::applied_at},
};

/// The login role of the embedded database that all pods and KEDA use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginInUse {
    /// Name of the role.
    pub login: String,
    /// When the last rollout ended, i.e. the last old pod was deleted; that pod may still be draining.
    pub rolled_out_at: Timestamp,
}

/// Returns the login role that all pods and KEDA use. `None` while one of the `deployments` is missing or replaces its pods, or
/// if KEDA's objects name a different role.
#[must_use]
pub fn login_in_use(live: &Live, deployments: impl IntoIterator<Item = String>) -> Option<LoginInUse> {
    let deployments = deployments.into_iter().map(|name| {
        let deployment = live.get(Kind::Deployment, &name)?;
        Some((login(deployment)?, rolled_out_at(deployment)?))
    });
    let deployments = deployments.collect::<Option<Vec<_>>>()?;
    let rolled_out_at = deployments.iter().map(|(_, rolled_out_at)| *rolled_out_at).max()?;
    let mut logins = deployments.into_iter().map(|(login, _)| login).chain(keda_logins(live).map(|(_, login)| login));
    let first = logins.next()?;
    logins.all(|login| login == first).then(|| LoginInUse { login: first.to_owned(), rolled_out_at })
}

/// Returns the login role in the template of a Deployment.
pub fn login(deployment: &DynamicObject) -> Option<&str> {
    let containers = deployment.data["spec"]["template"]["spec"]["containers"].as_array()?;
    let mut variables = containers.iter().filter_map(|container| container["env"].as_array()).flatten();
    variables.find(|variable| variable["name"] == "PGUSER")?["value"].as_str()
}

/// Returns the roles that triggers of `ScaledObjects` log in with, and the keys of their passwords, which are named like the roles. An
/// object that could not be applied has the previous role, even after all pods were replaced.
///
/// Objects that are being deleted don't count: one may stay for its finalizer after KEDA was removed.
pub fn keda_logins(live: &Live) -> impl Iterator<Item = (&DynamicObject, &str)> {
    let entries = |kind, field: &'static str| {
        let objects = live.of_kind(kind).filter(|object| object.metadata.deletion_timestamp.is_none());
        objects.flat_map(move |object| object.data["spec"][field].as_array().into_iter().flatten().map(move |entry| (object, entry)))
    };
    let users =
        entries(Kind::ScaledObject, "triggers").filter_map(|(object, trigger)| Some((object, trigger["metadata"]["userName"].as_str()?)));
    let references = entries(Kind::TriggerAuthentication, "secretTargetRef").filter(|(_, reference)| reference["parameter"] == "password");
    users.chain(references.filter_map(|(object, reference)| Some((object, reference["key"].as_str()?))))
}

/// When the rollout ended, or `None` if it hasn't. The deployment controller updates the condition `Progressing` with every progress of
/// a rollout, and not after it has ended.
pub fn rolled_out_at(deployment: &DynamicObject) -> Option<Timestamp> {
    let status = &deployment.data["status"];
    let number = |field: &str| status.get(field).and_then(Value::as_i64).unwrap_or(0);
    let is_observed = deployment.metadata.generation.is_none_or(|generation| number("observedGeneration") >= generation);
    let progressing = conditions(deployment).find(|condition| condition["type"] == "Progressing")?;
    let is_complete = progressing["reason"] == "NewReplicaSetAvailable" && number("updatedReplicas") == number("replicas");
    progressing["lastUpdateTime"].as_str()?.parse().ok().filter(|_| is_observed && is_complete)
}

/// When the rollout began or last progressed. Until the deployment controller has seen a change of the template, that is when the
/// operator applied it.
pub fn progressed_at(deployment: &DynamicObject) -> Option<Timestamp> {
    let progressing = conditions(deployment).find(|condition| condition["type"] == "Progressing");
    let progressed_at = progressing.and_then(|condition| condition["lastUpdateTime"].as_str()?.parse().ok());
    progressed_at.max(applied_at(deployment))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use kube::ResourceExt;
    use serde_json::json;

    use super::*;
    use crate::secrets::{Data, entry, login_to_restore};

    fn object(kind: Kind, name: &str, rest: &Value) -> (Kind, DynamicObject) {
        let resource = kind.resource();
        let mut object = json!({"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name, "generation": 2}});
        object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        (kind, serde_json::from_value(object).unwrap())
    }

    fn deployment(name: &str, login: &str, minute: u8, change: impl FnOnce(&mut Value)) -> (Kind, DynamicObject) {
        let env = json!([{"name": "PGUSER", "value": login}]);
        let at = format!("2026-11-30T10:{minute:02}:00Z");
        let mut deployment = json!({
            "spec": {"template": {"spec": {"containers": [{"name": name, "env": env}]}}},
            "status": {
                "observedGeneration": 2, "replicas": 2, "updatedReplicas": 2,
                "conditions": [
                    {"type": "Available", "status": "True", "lastUpdateTime": "2026-11-30T11:00:00Z"},
                    {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable", "lastUpdateTime": at},
                ],
            },
        });
        change(&mut deployment);
        object(Kind::Deployment, name, &deployment)
    }

    fn rolled_out(name: &str, login: &str, minute: u8) -> (Kind, DynamicObject) {
        deployment(name, login, minute, |_| {})
    }

    fn used(objects: impl IntoIterator<Item = (Kind, DynamicObject)>) -> Option<(String, String)> {
        let live = Live::of(objects);
        let names: Vec<_> = live.of_kind(Kind::Deployment).map(ResourceExt::name_any).collect();
        login_in_use(&live, names).map(|used| (used.login, used.rolled_out_at.to_string()))
    }

    #[test]
    fn the_login_in_use_has_the_end_of_the_last_rollout() {
        let expected = Some(("catalog_a".to_owned(), "2026-11-30T10:07:00Z".to_owned()));
        assert_eq!(used([rolled_out("api", "catalog_a", 7), rolled_out("notifier", "catalog_a", 3)]), expected);
        assert_eq!(used([rolled_out("api", "catalog_a", 7), rolled_out("notifier", "catalog_b", 3)]), None, "two logins");
        assert_eq!(used([]), None);
    }

    #[test]
    fn no_login_is_in_use_while_a_deployment_is_missing() {
        let live = Live::of([rolled_out("api", "catalog_a", 7)]);
        assert!(login_in_use(&live, ["api".to_owned()]).is_some());
        assert_eq!(login_in_use(&live, ["api".to_owned(), "notifier".to_owned()]), None, "its pods may still run");
    }

    #[test]
    fn no_login_is_in_use_while_a_deployment_replaces_its_pods() {
        let changes: [fn(&mut Value); 5] = [
            |it| it["status"]["observedGeneration"] = json!(1),
            |it| it["status"]["updatedReplicas"] = json!(1),
            |it| it["status"]["conditions"][1]["reason"] = json!("ReplicaSetUpdated"),
            |it| it["status"]["conditions"][1]["lastUpdateTime"] = Value::Null,
            |it| it["status"] = json!({}),
        ];
        for change in changes {
            assert_eq!(used([rolled_out("api", "catalog_a", 7), deployment("notifier", "catalog_a", 3, change)]), None);
        }
    }

    #[test]
    fn a_login_is_not_in_use_by_all_until_keda_uses_it() {
        let scaled = |login: &str| object(Kind::ScaledObject, "s", &json!({"spec": {"triggers": [{"metadata": {"userName": login}}]}}));
        let reference = |key: &str| json!({"spec": {"secretTargetRef": [{"parameter": "password", "name": "shop-postgres", "key": key}]}});
        let authentication = |key: &str| object(Kind::TriggerAuthentication, "s", &reference(key));
        for (user, key, expected) in
            [("catalog_b", "catalog_b", true), ("catalog_a", "catalog_b", false), ("catalog_b", "catalog_a", false)]
        {
            let found = used([rolled_out("api", "catalog_b", 7), scaled(user), authentication(key)]);
            assert_eq!(found.is_some(), expected, "{user} {key}");
        }
        let (kind, mut deleted) = scaled("catalog_a");
        deleted.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        assert!(used([rolled_out("api", "catalog_b", 7), (kind, deleted)]).is_some(), "it waits for a finalizer");
        let other = object(Kind::ScaledObject, "s", &json!({"spec": {"triggers": [{"metadata": {"stream": "S"}}]}}));
        assert!(used([rolled_out("api", "catalog_b", 7), other]).is_some());
    }

    #[test]
    fn objects_are_restored_with_the_previous_login_until_all_deployments_have_the_active_one() {
        let both: Data = [entry("catalog_a", "1"), entry("catalog_b", "2")].into();
        let active_only: Data = [entry("catalog_b", "2")].into();
        let (a, b) = (rolled_out("api", "catalog_a", 1), rolled_out("notifier", "catalog_b", 1));
        for (data, objects, expected) in [
            (&both, vec![a.clone()], "catalog_a"),
            (&both, vec![a.clone(), b.clone()], "catalog_a"),
            (&both, vec![b], "catalog_b"),
            (&both, vec![], "catalog_a"),
            (&active_only, vec![a], "catalog_b"),
        ] {
            assert_eq!(login_to_restore(&Live::of(objects), data, "catalog_b"), expected);
        }
    }
}
