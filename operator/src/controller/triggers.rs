//! What else than a Catalog itself makes it reconcile.
//!
//! Everything is watched as metadata and without a store: a reconcile reads what it needs, so memory doesn't grow with
//! what a thousand Catalogs own.

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

use super::retried::{Relists, config, retried};
use crate::{
    build::keda::{ScaledObject, TriggerAuthentication},
    crd::GuardedCatalog,
    dereference::referenced_secrets,
    live::{INSTANCE, MANAGED_BY, OPERATOR},
};

/// The definition whose presence says that KEDA is installed.
const KEDA: &str = "scaledobjects.keda.sh";

/// Adds everything that a Catalog owns or refers to, and whatever `relists` is notified of.
pub fn add(controller: Controller<GuardedCatalog>, client: &Client, relists: &Relists) -> Controller<GuardedCatalog> {
    let store = controller.store();
    let controller = owned::<PersistentVolumeClaim>(controller, client, relists);
    let controller = owned::<ServiceAccount>(controller, client, relists);
    let controller = owned::<ConfigMap>(controller, client, relists);
    let controller = owned::<Service>(controller, client, relists);
    let controller = owned::<StatefulSet>(controller, client, relists);
    let controller = owned::<Job>(controller, client, relists);
    let controller = owned::<Deployment>(controller, client, relists);
    let controller = owned::<PodDisruptionBudget>(controller, client, relists);
    let controller = owned::<HorizontalPodAutoscaler>(controller, client, relists);
    let controller = owned::<TriggerAuthentication>(controller, client, relists);
    let controller = owned::<ScaledObject>(controller, client, relists);
    let secrets = touched::<Secret>(client, config(), relists);
    let controller = controller.watches_stream(secrets, move |secret| of_secret(&store, &secret));
    controller.reconcile_all_on(keda(client, relists)).reconcile_all_on(relists.stream())
}

/// Objects with the operator's labels. One that loses them is seen as deleted, with the labels it had.
fn owned<K>(controller: Controller<GuardedCatalog>, client: &Client, relists: &Relists) -> Controller<GuardedCatalog>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let made = config().labels(&format!("{MANAGED_BY}={OPERATOR}"));
    controller.watches_stream(touched::<K>(client, made, relists), |object| of_labels(&object))
}

fn touched<K>(
    client: &Client,
    config: watcher::Config,
    relists: &Relists,
) -> impl Stream<Item = Result<PartialObjectMeta<K>, watcher::Error>> + Send + 'static
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let watch = watcher(Api::<PartialObjectMeta<K>>::all(client.clone()), config);
    retried(watch, K::kind(&()).into_owned(), relists).touched_objects()
}

fn of_labels<K>(object: &PartialObjectMeta<K>) -> Option<ObjectRef<GuardedCatalog>>
where
    PartialObjectMeta<K>: ResourceExt,
{
    Some(ObjectRef::new(object.labels().get(INSTANCE)?).within(&object.namespace()?))
}

/// The Catalog that made it, and those that refer to it.
fn of_secret(store: &Store<GuardedCatalog>, secret: &PartialObjectMeta<Secret>) -> Vec<ObjectRef<GuardedCatalog>> {
    let (name, namespace) = (secret.name_any(), secret.namespace());
    let refer = |catalog: &GuardedCatalog| catalog.0.as_ref().is_ok_and(|catalog| referenced_secrets(&catalog.spec).contains(&*name));
    let referring = store.state().into_iter().filter(|catalog| catalog.namespace() == namespace && refer(catalog));
    of_labels(secret).into_iter().chain(referring.map(|catalog| ObjectRef::from_obj(&*catalog))).collect()
}

/// KEDA comes or goes.
fn keda(client: &Client, relists: &Relists) -> impl Stream<Item = ()> + Send + 'static {
    let named = config().fields(&format!("metadata.name={KEDA}"));
    touched::<CustomResourceDefinition>(client, named, relists).filter_map(|touched| ready(touched.ok().map(drop)))
}
