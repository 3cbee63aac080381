//! Names, labels and owners.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, OwnerReference};
use kube::{Resource, core::ObjectMeta};

use crate::{
    crd::Catalog,
    validate::{DatabasePlan, MessagingPlan, Plan, WorkerRole},
};

/// A part of the shop, as labels name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    /// What all parts share.
    Shared,
    /// The public API.
    Api,
    /// A worker.
    Worker(WorkerRole),
    /// The migration.
    Migrate,
    /// The embedded PostgreSQL.
    Postgres,
    /// The embedded NATS.
    Nats,
}

impl Component {
    /// As labels name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Api => "api",
            Self::Worker(role) => role.as_str(),
            Self::Migrate => "migrate",
            Self::Postgres => "postgres",
            Self::Nats => "nats",
        }
    }

    /// What it runs in: another release of the shop is none of PostgreSQL.
    fn version(self, plan: &Plan) -> String {
        let of_image = |image: &str| image.split('@').next().unwrap_or_default().rsplit(['/', ':']).next().unwrap_or_default().to_owned();
        let version = match (self, &plan.database, &plan.messaging) {
            (Self::Postgres, DatabasePlan::Embedded(database), _) => of_image(&database.image),
            (Self::Nats, _, MessagingPlan::Embedded(messaging)) => of_image(&messaging.image),
            _ => plan.release.version.clone(),
        };
        label_value(&version)
    }
}

/// A tag may be longer than a label's value, and end otherwise.
fn label_value(text: &str) -> String {
    let plain: String = text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')).take(63).collect();
    plain.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

/// Labels that stay as they are as long as the Catalog lives: selectors cannot be changed.
fn identity(plan: &Plan, component: Component) -> BTreeMap<String, String> {
    let labels = [("name", "catalog"), ("instance", plan.shop.name.as_str()), ("component", component.as_str())];
    labels.into_iter().map(|(label, value)| (format!("app.kubernetes.io/{label}"), value.to_owned())).collect()
}

/// All labels.
pub fn labels(plan: &Plan, component: Component) -> BTreeMap<String, String> {
    let mut labels = identity(plan, component);
    let version = component.version(plan);
    for (label, value) in [("managed-by", "catalog-operator"), ("part-of", "catalog"), ("version", version.as_str())] {
        labels.insert(format!("app.kubernetes.io/{label}"), value.to_owned());
    }
    labels
}

/// Selects the pods of a part.
pub fn selector(plan: &Plan, component: Component) -> LabelSelector {
    LabelSelector { match_labels: Some(identity(plan, component)), ..LabelSelector::default() }
}

/// Selects the pods of a part, in the form of Services.
pub fn service_selector(plan: &Plan, component: Component) -> BTreeMap<String, String> {
    identity(plan, component)
}

/// Metadata of an object that goes with the Catalog.
#[must_use]
pub fn metadata(plan: &Plan, name: String, component: Component) -> ObjectMeta {
    ObjectMeta { owner_references: owner(plan).map(|owner| vec![owner]), ..unowned(plan, name, component) }
}

/// Metadata of an object that outlives the Catalog if its deletion policy says so.
#[must_use]
pub fn kept_metadata(plan: &Plan, name: String, component: Component) -> ObjectMeta {
    if plan.retain {
        ObjectMeta { annotations: Some(retained_annotations()), ..unowned(plan, name, component) }
    } else {
        metadata(plan, name, component)
    }
}

/// Keeps Argo CD from deleting an object without an owner. Before version 3 it takes every such object whose label
/// `app.kubernetes.io/instance` is the name of an Application for one of that Application's
/// (<https://argo-cd.readthedocs.io/en/stable/user-guide/resource_tracking/>).
#[must_use]
pub fn retained_annotations() -> BTreeMap<String, String> {
    let annotations = [("sync-options", "Delete=false,Prune=false"), ("compare-options", "IgnoreExtraneous")];
    annotations.into_iter().map(|(name, value)| (format!("argocd.argoproj.io/{name}"), value.to_owned())).collect()
}

fn unowned(plan: &Plan, name: String, component: Component) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(plan.shop.namespace.clone()),
        labels: Some(labels(plan, component)),
        ..ObjectMeta::default()
    }
}

fn owner(plan: &Plan) -> Option<OwnerReference> {
    Some(OwnerReference {
        api_version: Catalog::api_version(&()).into_owned(),
        kind: Catalog::kind(&()).into_owned(),
        name: plan.shop.name.clone(),
        uid: plan.shop.uid.clone()?,
        controller: Some(true),
        block_owner_deletion: Some(true),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_become_valid_label_values() {
        for (version, value) in [("1.2.0", "1.2.0"), ("_nightly-", "nightly"), (&"x".repeat(128), &"x".repeat(63))] {
            assert_eq!(label_value(version), *value);
        }
    }

    #[test]
    fn another_release_of_the_shop_changes_nothing_of_postgresql() {
        let mut plan = super::super::samples::minimal();
        let before = labels(&plan, Component::Postgres);
        plan.release.version = "9.9.9".into();
        assert_eq!(labels(&plan, Component::Postgres), before);
        assert_eq!(before["app.kubernetes.io/version"], "18");
        assert_eq!(labels(&plan, Component::Api)["app.kubernetes.io/version"], "9.9.9");
        assert_eq!(selector(&plan, Component::Api).match_labels.unwrap().len(), 3);
    }
}
