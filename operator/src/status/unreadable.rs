//! Derives the conditions of a Catalog that cannot be deserialised, for example because the CRD of another release was installed.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::core::DynamicObject;
use serde::Deserialize;

use super::{
    complete,
    conditions::{ConditionState, Conditions, UNREADABLE},
};

/// Derives the conditions of an object that cannot be deserialised because of `error`. Those of components are Unknown, because the
/// operator doesn't read their objects.
#[must_use]
pub fn unreadable_conditions(object: &DynamicObject, error: &str, now: Timestamp) -> Vec<Condition> {
    let previous = conditions(object);
    let message = format!(
        "the Catalog cannot be read: {error}. Its objects are neither changed nor restored until the field is corrected; \
         if the field is of a later release, upgrade the operator"
    );
    let mut conditions = Conditions::new(&previous, object.metadata.generation, now);
    conditions.set("Ready", &ConditionState::no(UNREADABLE, message.clone()));
    conditions.set("Degraded", &ConditionState::yes(UNREADABLE, message));
    let previous_kinds = previous.iter().map(|condition| condition.type_.as_str());
    let others = previous_kinds.filter(|kind| !["Ready", "Degraded", complete::CONDITION].contains(kind));
    for kind in others.chain([complete::CONDITION]) {
        conditions.set_unknown(kind, &ConditionState::no(UNREADABLE, "the Catalog cannot be read: see Ready"));
    }
    conditions.finish()
}

/// Returns the current conditions of the object, or none if they cannot be deserialised.
#[must_use]
pub fn conditions(object: &DynamicObject) -> Vec<Condition> {
    Vec::deserialize(&object.data["status"]["conditions"]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn catalog(conditions: &Value) -> DynamicObject {
        let metadata = json!({"name": "shop", "generation": 2});
        let (spec, status) = (json!({"currency": ["EUR"]}), json!({"conditions": conditions}));
        serde_json::from_value(json!({"metadata": metadata, "spec": spec, "status": status})).unwrap()
    }

    fn states(conditions: &[Condition]) -> Vec<(&str, &str)> {
        conditions.iter().map(|condition| (condition.type_.as_str(), condition.status.as_str())).collect()
    }

    #[test]
    fn a_catalog_that_cannot_be_read_is_not_ready_and_its_parts_are_unknown() {
        let was = |kind: &str| json!({"type": kind, "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let (first, second) = (Timestamp::UNIX_EPOCH, "2026-01-02T00:00:00Z".parse().unwrap());
        let before = catalog(&json!([was("Ready"), was("ApiAvailable")]));
        let now = unreadable_conditions(&before, "spec.currency: invalid type", first);
        assert_eq!(states(&now), [("Ready", "False"), ("Degraded", "True"), ("ApiAvailable", "Unknown"), ("Complete", "Unknown")]);
        assert!(now[0].message.contains(": spec.currency: invalid type.") && now[0].observed_generation == Some(2), "{:?}", now[0]);
        let again = unreadable_conditions(&catalog(&json!(now)), "spec.currency: invalid type", second);
        assert_eq!(again, now, "an unchanged report is not written again");
    }

    #[test]
    fn conditions_that_cannot_be_deserialised_are_replaced() {
        for before in [json!(null), json!("none"), json!([{"type": "Ready"}])] {
            let now = unreadable_conditions(&catalog(&before), "status.conditions: invalid type", Timestamp::UNIX_EPOCH);
            assert_eq!(states(&now), [("Ready", "False"), ("Degraded", "True"), ("Complete", "Unknown")]);
        }
    }
}
