//! Objects other than the Catalog whose changes trigger a reconcile.
//!
//! Only metadata is watched, without a store: a reconcile reads the objects that it needs, so memory doesn't grow with the number of
//! objects of a thousand Catalogs.

use futures::{Stream, StreamExt, future::ready};
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, StatefulSet},
        autoscaling::v2::HorizontalPodAutoscaler,
        batch::v1::Job,
        core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service, ServiceAccount},
        policy::v1::PodDisruptionBudget,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::PartialObjectMeta,
    runtime::{
        Controller, WatchStreamExt,
        reflector::{ObjectRef, Store},
        watcher,
    },
};
use serde::de::DeserializeOwned;

use super::watch_retry::{Relists, watch_config, with_retry};
use crate::{
    build::keda::{ScaledObject, TriggerAuthentication},
    crd::GuardedCatalog,
    dereference::referenced_secrets,
    live::{INSTANCE, MANAGED_BY, OPERATOR},
};

/// The `CustomResourceDefinition` that exists if KEDA is installed.
const KEDA: &str = "scaledobjects.keda.sh";

/// Adds watches on the objects that Catalogs own or refer to and on KEDA's definition, and reconciles all Catalogs after a relist.
pub fn add(controller: Controller<GuardedCatalog>, client: &Client, relists: &Relists) -> Controller<GuardedCatalog> {
    let store = controller.store();
    let controller = watch_owned::<PersistentVolumeClaim>(controller, client, relists);
    let controller = watch_owned::<ServiceAccount>(controller, client, relists);
    let controller = watch_owned::<ConfigMap>(controller, client, relists);
    let controller = watch_owned::<Service>(controller, client, relists);
    let controller = watch_owned::<StatefulSet>(controller, client, relists);
    let controller = watch_owned::<Job>(controller, client, relists);
    let controller = watch_owned::<Deployment>(controller, client, relists);
    let controller = watch_owned::<PodDisruptionBudget>(controller, client, relists);
    let controller = watch_owned::<HorizontalPodAutoscaler>(controller, client, relists);
    let controller = watch_owned::<TriggerAuthentication>(controller, client, relists);
    let controller = watch_owned::<ScaledObject>(controller, client, relists);
    let secrets = watch_metadata::<Secret>(client, watch_config(), relists);
    let controller = controller.watches_stream(secrets, move |secret| catalogs_of_secret(&store, &secret));
    controller.reconcile_all_on(watch_keda_definition(client, relists)).reconcile_all_on(relists.stream())
}

/// Watches the objects with the operator's labels. An object that loses them is reported as deleted, with its previous labels.
fn watch_owned<K>(controller: Controller<GuardedCatalog>, client: &Client, relists: &Relists) -> Controller<GuardedCatalog>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let managed = watch_config().labels(&format!("{MANAGED_BY}={OPERATOR}"));
    controller.watches_stream(watch_metadata::<K>(client, managed, relists), |object| catalog_by_labels(&object))
}

/// Watches the metadata of all objects that `config` selects.
fn watch_metadata<K>(
    client: &Client,
    config: watcher::Config,
    relists: &Relists,
) -> impl Stream<Item = Result<PartialObjectMeta<K>, watcher::Error>> + Send + 'static
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let watch = watcher(Api::<PartialObjectMeta<K>>::all(client.clone()), config);
    with_retry(watch, K::kind(&()).into_owned(), relists).touched_objects()
}

/// Returns the Catalog that the labels of an object name.
fn catalog_by_labels<K>(object: &PartialObjectMeta<K>) -> Option<ObjectRef<GuardedCatalog>>
where
    PartialObjectMeta<K>: ResourceExt,
{
    Some(ObjectRef::new(object.labels().get(INSTANCE)?).within(&object.namespace()?))
}

/// Returns the Catalog that generated a Secret, and those that refer to it.
fn catalogs_of_secret(store: &Store<GuardedCatalog>, secret: &PartialObjectMeta<Secret>) -> Vec<ObjectRef<GuardedCatalog>> {
    let (name, namespace) = (secret.name_any(), secret.namespace());
    let refer = |catalog: &GuardedCatalog| catalog.0.as_ref().is_ok_and(|catalog| referenced_secrets(&catalog.spec).contains(&*name));
    let referring = store.state().into_iter().filter(|catalog| catalog.namespace() == namespace && refer(catalog));
    catalog_by_labels(secret).into_iter().chain(referring.map(|catalog| ObjectRef::from_obj(&*catalog))).collect()
}

/// Stream with an item whenever KEDA is installed, changed or removed.
fn watch_keda_definition(client: &Client, relists: &Relists) -> impl Stream<Item = ()> + Send + 'static {
    let named = watch_config().fields(&format!("metadata.name={KEDA}"));
    watch_metadata::<CustomResourceDefinition>(client, named, relists).filter_map(|touched| ready(touched.ok().map(drop)))
}
