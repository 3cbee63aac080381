//! The current objects of one Catalog in the cluster.

pub mod claims;
pub mod conditions;
pub mod managers;
pub mod scaled_objects;
pub mod scaling;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, ListParams},
};

use crate::{error::Error, kinds::Kind, observed::DatabaseFindings};

/// Label with the part of an object, such as `api`.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// Label with the name of the Catalog.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// Label with the name of the operator.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Name of the operator, as in [`MANAGED_BY`].
pub const OPERATOR: &str = "catalog-operator";

/// Objects of one Catalog, by kind and name.
#[derive(Debug, Clone, Default)]
pub struct Live {
    objects: BTreeMap<(Kind, String), DynamicObject>,
    /// `HorizontalPodAutoscalers` of the namespace without the labels. One of them may scale a Deployment of this Catalog.
    unlabelled_autoscalers: Vec<DynamicObject>,
    keda: bool,
    is_complete: bool,
    /// The pods, if they were listed after the last write.
    pub pods: Option<Vec<Pod>>,
    /// What this reconcile found out about the database.
    pub database: DatabaseFindings,
}

impl Live {
    /// Reads all objects with the labels of the Catalog `name`, and all `HorizontalPodAutoscalers`, with one call per kind.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn read(client: &Client, namespace: &str, name: &str) -> Result<Self, Error> {
        let mut live = Self { keda: true, ..Self::default() };
        let parameters = ListParams::default().labels(&selector(name));
        for kind in Kind::ALL {
            if kind.needs_keda() && !live.keda {
                continue;
            }
            let resource = kind.resource();
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
            let unfiltered = ListParams::default();
            match api.list(if kind == Kind::HorizontalPodAutoscaler { &unfiltered } else { &parameters }).await {
                Ok(list) => {
                    for mut object in list.items {
                        // The items of a list don't contain their kind.
                        object.types =
                            Some(kube::core::TypeMeta { api_version: resource.api_version.clone(), kind: resource.kind.clone() });
                        if is_labelled(object.labels(), name) {
                            live.put(kind, object);
                        } else {
                            live.unlabelled_autoscalers.push(object);
                        }
                    }
                }
                // The path of a kind that isn't installed doesn't exist; the 404 has no reason.
                Err(kube::Error::Api(status)) if kind.needs_keda() && status.code == 404 => live.keda = false,
                Err(source) => return Err(Error::api("list", resource.plural, source)),
            }
        }
        live.is_complete = true;
        Ok(live)
    }

    /// Builds the state after these objects were read.
    #[cfg(test)]
    pub fn of(objects: impl IntoIterator<Item = (Kind, DynamicObject)>) -> Self {
        let objects = objects.into_iter().map(|(kind, object)| ((kind, object.name_any()), object)).collect();
        Self { objects, keda: true, is_complete: true, ..Self::default() }
    }

    /// Whether all kinds were read, so that an object that is missing here doesn't exist.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Whether the kinds of KEDA are installed.
    #[must_use]
    pub fn has_keda(&self) -> bool {
        self.keda
    }

    /// Returns an object, if it exists.
    #[must_use]
    pub fn get(&self, kind: Kind, name: &str) -> Option<&DynamicObject> {
        self.objects.get(&(kind, name.to_owned()))
    }

    /// Returns a Secret with its content, if it exists.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<Secret> {
        self.get(Kind::Secret, name)?.clone().try_parse().ok()
    }

    /// Returns all objects of a kind.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &DynamicObject> {
        self.objects.iter().filter(move |((of, _), _)| *of == kind).map(|(_, object)| object)
    }

    /// Returns the `HorizontalPodAutoscalers` of the namespace that don't have the labels of the Catalog.
    pub fn unlabelled_autoscalers(&self) -> impl Iterator<Item = &DynamicObject> {
        self.unlabelled_autoscalers.iter()
    }

    /// Returns all objects.
    pub fn all(&self) -> impl Iterator<Item = (Kind, &DynamicObject)> {
        self.objects.iter().map(|((kind, _), object)| (*kind, object))
    }

    /// Stores an object that the API server returned.
    pub fn put(&mut self, kind: Kind, object: DynamicObject) {
        self.objects.insert((kind, object.name_any()), object);
    }

    /// Removes an object that was deleted.
    pub fn remove(&mut self, kind: Kind, name: &str) {
        self.objects.remove(&(kind, name.to_owned()));
    }
}

/// Selects the objects that the operator created for the Catalog `name`.
fn selector(name: &str) -> String {
    format!("{INSTANCE}={name},{MANAGED_BY}={OPERATOR}")
}

/// Names of the Deployments of the Catalog `name`.
#[must_use]
pub fn deployment_names(name: &str) -> [String; 4] {
    ["api", "notifier", "tracker", "fulfiller"].map(|part| format!("{name}-{part}"))
}

/// Selects the pods of the Catalog `name`. Their labels come from pod templates.
#[must_use]
pub fn pod_selector(name: &str) -> String {
    format!("{INSTANCE}={name},app.kubernetes.io/name=catalog")
}

/// Whether these are the labels of an object that the operator created for the Catalog `name`.
#[must_use]
pub fn is_labelled(labels: &BTreeMap<String, String>, name: &str) -> bool {
    let has = |label: &str, value: &str| labels.get(label).is_some_and(|actual| actual == value);
    has(INSTANCE, name) && has(MANAGED_BY, OPERATOR)
}
