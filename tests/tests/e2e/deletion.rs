//! Deletion and recreation of a Catalog.

use std::collections::BTreeSet;

use catalog_tests::wait::{self, check};
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    autoscaling::v2::HorizontalPodAutoscaler,
    batch::v1::Job,
    core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount},
    policy::v1::PodDisruptionBudget,
};
use kube::{
    ResourceExt,
    api::{DeleteParams, DynamicObject, PostParams},
};

use crate::{
    shop::{NAME, Shop, TIMEOUT},
    usage,
};

/// The deleted Catalog, and the data that a recreated one must have.
pub struct Kept {
    catalog: DynamicObject,
    paths: Vec<String>,
    views: u64,
}

/// Deletes the Catalog, and waits until everything except data volumes and generated Secrets is deleted.
pub async fn delete(shop: &Shop) -> Kept {
    let paths = usage::paths(shop).await;
    let views = usage::total(shop, &paths).await;
    let catalog = shop.catalogs().get(NAME).await.unwrap();
    shop.catalogs().delete(NAME, &DeleteParams::default()).await.unwrap();
    wait::within(TIMEOUT, "all other objects are deleted", async || {
        let mut left = shop.names::<Pod>().await;
        left.extend(shop.names::<Deployment>().await);
        left.extend(shop.names::<StatefulSet>().await);
        left.extend(shop.names::<Job>().await);
        left.extend(shop.names::<Service>().await);
        left.extend(shop.names::<ServiceAccount>().await);
        left.extend(shop.names::<ConfigMap>().await);
        left.extend(shop.names::<PodDisruptionBudget>().await);
        left.extend(shop.names::<HorizontalPodAutoscaler>().await);
        let scaled = shop.dynamic("keda.sh", "v1alpha1", "ScaledObject").list(&kube::api::ListParams::default()).await.unwrap();
        left.extend(scaled.items.iter().map(ResourceExt::name_any));
        check(left.is_empty(), || left)
    })
    .await;
    let names = |names: Vec<String>| names.into_iter().collect::<BTreeSet<_>>();
    assert_eq!(names(shop.names::<PersistentVolumeClaim>().await), names(vec!["shop-nats-data".into(), "shop-postgres-data".into()]));
    let secrets = ["shop-nats", "shop-postgres", "shop-signing-keys", "shop-superuser"].map(str::to_owned);
    assert_eq!(names(shop.names::<Secret>().await), names(secrets.into()));
    Kept { catalog, paths, views }
}

/// Creates the Catalog again, and checks products and views.
pub async fn recreate(shop: &Shop, kept: Kept) {
    let mut catalog = DynamicObject { data: serde_json::json!({"spec": kept.catalog.data["spec"]}), ..kept.catalog };
    catalog.metadata = kube::core::ObjectMeta { name: catalog.metadata.name, namespace: catalog.metadata.namespace, ..Default::default() };
    shop.catalogs().create(&PostParams::default(), &catalog).await.unwrap();
    let shop = Shop::connect().await;
    for path in &kept.paths {
        shop.admin.get(path).await.expect(200);
    }
    assert_eq!(usage::total(&shop, &kept.paths).await, kept.views);
}
