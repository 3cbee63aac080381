//! Names, labels and owner references.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, OwnerReference};
use kube::{Resource, core::ObjectMeta};

use crate::{
    crd::Catalog,
    validate::{DatabasePlan, MessagingPlan, Plan, WorkerRole},
};

/// A part of the shop, the value of the label `app.kubernetes.io/component`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    /// Objects that all parts share.
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
    /// Returns the value of the label.
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

    /// Returns the version of the software of the part. Embedded servers have that of their image, so that a new release of the shop
    /// doesn't change their labels.
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

/// Turns a tag into a label value, which is shorter and must start and end with a letter or digit.
fn label_value(text: &str) -> String {
    let plain: String = text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')).take(63).collect();
    plain.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

/// Returns the labels that selectors use. They never change, because selectors are immutable.
fn identity(plan: &Plan, component: Component) -> BTreeMap<String, String> {
    let labels = [("name", "catalog"), ("instance", plan.shop.name.as_str()), ("component", component.as_str())];
    labels.into_iter().map(|(label, value)| (format!("app.kubernetes.io/{label}"), value.to_owned())).collect()
}

/// Returns all labels of the objects of a part.
#[must_use]
pub fn labels(plan: &Plan, component: Component) -> BTreeMap<String, String> {
    let mut labels = identity(plan, component);
    let version = component.version(plan);
    for (label, value) in [("managed-by", "catalog-operator"), ("part-of", "catalog"), ("version", version.as_str())] {
        labels.insert(format!("app.kubernetes.io/{label}"), value.to_owned());
    }
    labels
}

/// Returns a selector of the pods of a part.
#[must_use]
pub fn selector(plan: &Plan, component: Component) -> LabelSelector {
    LabelSelector { match_labels: Some(identity(plan, component)), ..LabelSelector::default() }
}

/// Selects the pods of a component, in the form of Services.
#[must_use]
pub fn service_selector(plan: &Plan, component: Component) -> BTreeMap<String, String> {
    identity(plan, component)
}

/// Builds the metadata of an object that is deleted with the Catalog.
#[must_use]
pub fn metadata(plan: &Plan, name: String, component: Component) -> ObjectMeta {
    ObjectMeta { owner_references: owner(plan).map(|owner| vec![owner]), ..unowned(plan, name, component) }
}

/// Builds the metadata of an object that is kept when the Catalog is deleted, if the deletion policy is `Retain`.
#[must_use]
pub fn retainable_metadata(plan: &Plan, name: String, component: Component) -> ObjectMeta {
    if plan.retain {
        ObjectMeta { annotations: Some(retained_annotations()), ..unowned(plan, name, component) }
    } else {
        metadata(plan, name, component)
    }
}

/// Returns annotations that keep Argo CD from deleting an object without an owner. Before version 3, Argo CD assumes that an object
/// belongs to the Application that its label `app.kubernetes.io/instance` names
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
    fn tags_are_turned_into_valid_label_values() {
        for (version, value) in [("1.2.0", "1.2.0"), ("_nightly-", "nightly"), (&"x".repeat(128), &"x".repeat(63))] {
            assert_eq!(label_value(version), *value);
        }
    }

    #[test]
    fn a_new_release_of_the_shop_does_not_change_the_labels_of_postgresql() {
        let mut plan = crate::build::samples::minimal();
        let before = labels(&plan, Component::Postgres);
        plan.release.version = "9.9.9".into();
        assert_eq!(labels(&plan, Component::Postgres), before);
        assert_eq!(before["app.kubernetes.io/version"], "18");
        assert_eq!(labels(&plan, Component::Api)["app.kubernetes.io/version"], "9.9.9");
        assert_eq!(selector(&plan, Component::Api).match_labels.unwrap().len(), 3);
    }
}
