//! The objects of one Catalog as they are in the cluster.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, ListParams},
};

use crate::{error::Error, installation::DatabaseFindings, kinds::Kind};

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
    /// Those of the namespace that lack the labels: one of them may scale a Deployment of this Catalog.
    unlabelled_autoscalers: Vec<DynamicObject>,
    keda: bool,
    complete: bool,
    /// What was found out about the database.
    pub database: DatabaseFindings,
}

impl Live {
    /// Reads all objects that carry the labels of the Catalog `name`, and all `HorizontalPodAutoscalers`. One call per kind.
    ///
    /// # Errors
    /// If the API server cannot be asked.
    pub async fn read(client: &Client, namespace: &str, name: &str) -> Result<Self, Error> {
        let mut live = Self { keda: true, ..Self::default() };
        let parameters = ListParams::default().labels(&selector(name));
        for kind in Kind::ALL {
            if kind.needs_keda() && !live.keda {
                continue;
            }
            let resource = kind.resource();
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
            let everything = ListParams::default();
            match api.list(if kind == Kind::HorizontalPodAutoscaler { &everything } else { &parameters }).await {
                Ok(list) => {
                    for mut object in list.items {
                        // Lists leave out what kind their items are.
                        object.types =
                            Some(kube::core::TypeMeta { api_version: resource.api_version.clone(), kind: resource.kind.clone() });
                        if is_labelled(object.labels(), name) {
                            live.put(kind, object);
                        } else {
                            live.unlabelled_autoscalers.push(object);
                        }
                    }
                }
                // What isn't installed has no path, and the answer no reason.
                Err(kube::Error::Api(status)) if kind.needs_keda() && status.code == 404 => live.keda = false,
                Err(source) => return Err(Error::api("list", resource.plural, source)),
            }
        }
        live.complete = true;
        Ok(live)
    }

    /// As if these had been read.
    #[cfg(test)]
    pub fn of(objects: impl IntoIterator<Item = (Kind, DynamicObject)>) -> Self {
        let objects = objects.into_iter().map(|(kind, object)| ((kind, object.name_any()), object)).collect();
        Self { objects, keda: true, complete: true, ..Self::default() }
    }

    /// Whether all was read, so that what isn't here isn't there.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Whether KEDA's kinds are installed.
    #[must_use]
    pub fn keda(&self) -> bool {
        self.keda
    }

    /// The object, if it is there.
    #[must_use]
    pub fn get(&self, kind: Kind, name: &str) -> Option<&DynamicObject> {
        self.objects.get(&(kind, name.to_owned()))
    }

    /// A Secret with its content, if it is there.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<Secret> {
        self.get(Kind::Secret, name)?.clone().try_parse().ok()
    }

    /// All objects of a kind.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &DynamicObject> {
        self.objects.iter().filter(move |((of, _), _)| *of == kind).map(|(_, object)| object)
    }

    /// `HorizontalPodAutoscalers` of the namespace that lack the labels of the Catalog.
    pub fn unlabelled_autoscalers(&self) -> impl Iterator<Item = &DynamicObject> {
        self.unlabelled_autoscalers.iter()
    }

    /// All objects.
    pub fn all(&self) -> impl Iterator<Item = (Kind, &DynamicObject)> {
        self.objects.iter().map(|((kind, _), object)| (*kind, object))
    }

    /// Notes an object as the API server just gave it.
    pub fn put(&mut self, kind: Kind, object: DynamicObject) {
        self.objects.insert((kind, object.name_any()), object);
    }

    /// Notes that an object is no more.
    pub fn remove(&mut self, kind: Kind, name: &str) {
        self.objects.remove(&(kind, name.to_owned()));
    }
}

/// Selects what the operator made for the Catalog `name`.
fn selector(name: &str) -> String {
    format!("{INSTANCE}={name},{MANAGED_BY}={OPERATOR}")
}

/// Selects the pods of the Catalog `name`. They get their labels from templates.
#[must_use]
pub fn pod_selector(name: &str) -> String {
    format!("{INSTANCE}={name},app.kubernetes.io/name=catalog")
}

/// Whether these are the labels of what the operator made for the Catalog `name`.
#[must_use]
pub fn is_labelled(labels: &BTreeMap<String, String>, name: &str) -> bool {
    let is = |label: &str, value: &str| labels.get(label).is_some_and(|given| given == value);
    is(INSTANCE, name) && is(MANAGED_BY, OPERATOR)
}
