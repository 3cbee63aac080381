//! The operator restores objects by the last applied spec while the current one cannot be applied.

use catalog_tests::control_plane::{
    Operator,
    admission::create_quota,
    fake_controllers::JobEnd,
    operator::{NAME, ReconcileOutcome},
    snapshot::{self, differences},
    specs::{full, with},
};
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::{ConfigMap, Secret, Service},
    events::v1::Event,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

async fn ready_operator(stem: &str) -> Operator {
    let mut operator = Operator::new(stem).await;
    operator.apply(&full()).await.unwrap();
    operator.reconcile_until_ready().await;
    operator
}

/// Deletes objects of several kinds, and edits one.
async fn damage(operator: &Operator) {
    let (namespace, background) = (operator.namespace(), DeleteParams::background());
    for name in ["shop-api", "shop-tracker"] {
        namespace.api::<Deployment>().delete(name, &background).await.unwrap();
    }
    namespace.api::<Service>().delete("shop-api", &background).await.unwrap();
    namespace.api::<StatefulSet>().delete("shop-nats", &background).await.unwrap();
    for map in namespace.all::<ConfigMap>().await.iter().map(ResourceExt::name_any).filter(|name| name.starts_with(NAME)) {
        namespace.api::<ConfigMap>().delete(&map, &background).await.unwrap();
    }
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "notifier", "image": "example.com/edited"}]}}}});
    let notifier = namespace.api::<Deployment>().get("shop-notifier").await.unwrap();
    let container = notifier.spec.template.spec.unwrap().containers[0].name.clone();
    let image = serde_json::from_str::<Value>(&image.to_string().replace("\"notifier\"", &format!("\"{container}\""))).unwrap();
    namespace.api::<Deployment>().patch("shop-notifier", &PatchParams::default(), &Patch::Strategic(image)).await.unwrap();
}

fn image(deployment: &Deployment) -> Option<String> {
    deployment.spec.template.spec.as_ref()?.containers[0].image.clone()
}

#[tokio::test]
async fn objects_are_restored_while_the_current_spec_is_invalid() {
    let mut operator = ready_operator("rejected").await;
    let before = snapshot::take(operator.namespace()).await;
    let bad = with(with(full(), "/mail/credentialsSecretRef/name", json!("nowhere")), "/image/tag", json!("9.9.9"));
    operator.apply(&bad).await.unwrap();
    operator.reconcile_until_idle().await;
    damage(&operator).await;
    operator.reconcile_until_idle().await;
    let differences = differences(&before, &snapshot::take(operator.namespace()).await).into_iter();
    assert_eq!(differences.filter(|differs| !differs.starts_with("Catalog/")).collect::<Vec<_>>(), Vec::<String>::new());
    let catalog = operator.catalog().await.unwrap();
    for kind in ["Complete", "Degraded"] {
        let condition = catalog.status.as_ref().unwrap().conditions.iter().find(|condition| condition.type_ == kind).unwrap();
        assert_eq!(
            (condition.reason.as_str(), condition.observed_generation),
            ("SecretNotFound", catalog.metadata.generation),
            "{condition:?}"
        );
    }
    assert!(operator.condition("Progressing").await.message.contains("restored to generation 1"));
    assert!(operator.condition("ApiAvailable").await.is_true);
}

#[tokio::test]
async fn objects_are_restored_while_a_migration_is_pending_or_has_failed() {
    let mut operator = ready_operator("migrating").await;
    let before = operator.namespace().api::<Deployment>().get("shop-api").await.unwrap();
    operator.apply(&with(full(), "/image/tag", json!("1.2.4"))).await.unwrap();
    for end in [None, Some(JobEnd::Failed)] {
        assert!(matches!(operator.reconcile().await, ReconcileOutcome::Succeeded));
        if let Some(end) = end {
            operator.controllers().finish_jobs(end).await;
        }
        damage(&operator).await;
        assert!(matches!(operator.reconcile().await, ReconcileOutcome::Succeeded));
        for name in ["shop-api", "shop-notifier", "shop-tracker"] {
            let live = operator.namespace().api::<Deployment>().get(name).await.unwrap();
            assert_eq!(image(&live), image(&before), "{name} keeps its release until the migration has succeeded");
        }
        operator.namespace().api::<Service>().get("shop-api").await.unwrap();
        assert!(!operator.condition("Migrated").await.is_true);
    }
    operator.apply(&with(full(), "/image/tag", json!("1.2.5"))).await.unwrap();
    operator.reconcile_until_ready().await;
    let live = operator.namespace().api::<Deployment>().get("shop-api").await.unwrap();
    assert!(image(&live).unwrap().ends_with(":1.2.5"));
}

#[tokio::test]
async fn objects_are_restored_without_replacing_pods_while_a_secret_is_missing() {
    let mut operator = ready_operator("secret-deleted").await;
    let deployments = operator.namespace().api::<Deployment>();
    let notifier = deployments.get("shop-notifier").await.unwrap();
    operator.namespace().api::<Secret>().delete("mail", &DeleteParams::default()).await.unwrap();
    deployments.delete("shop-api", &DeleteParams::background()).await.unwrap();
    operator.reconcile_until_idle().await;
    assert_eq!(operator.condition("Degraded").await.reason, "SecretNotFound");
    deployments.get("shop-api").await.unwrap();
    assert_eq!(deployments.get("shop-notifier").await.unwrap().metadata.generation, notifier.metadata.generation);
    operator.write_secret("mail", &[("username", "shop"), ("password", "secret")]).await;
    operator.reconcile_until_ready().await;
}

#[tokio::test]
async fn objects_are_restored_while_the_api_server_rejects_another_object() {
    let mut operator = ready_operator("object-rejected").await;
    let quotas = create_quota(operator.namespace(), "team", "services", "0", "5").await;
    operator.namespace().api::<Service>().delete("shop-api", &DeleteParams::background()).await.unwrap();
    let deployments = operator.namespace().api::<Deployment>();
    deployments.delete("shop-tracker", &DeleteParams::background()).await.unwrap();
    assert!(matches!(operator.reconcile().await, ReconcileOutcome::Failed(_)));
    deployments.get("shop-tracker").await.unwrap();
    let condition = operator.condition("Ready").await;
    assert!(
        !condition.is_true && condition.message.contains("Service shop-api") && condition.message.contains("exceeded quota: team"),
        "{condition:?}"
    );
    quotas.delete("team", &DeleteParams::default()).await.unwrap();
    operator.reconcile_until_ready().await;
}

#[tokio::test]
async fn an_invalid_rotation_annotation_is_reported_as_a_warning() {
    let mut operator = ready_operator("annotation").await;
    let annotation = json!({"metadata": {"annotations": {"catalog.rs/rotate-signing-key": "soon"}}});
    let catalogs = operator.namespace().api::<catalog_operator::crd::Catalog>();
    catalogs.patch(NAME, &PatchParams::default(), &Patch::Merge(annotation)).await.unwrap();
    operator.namespace().api::<Deployment>().delete("shop-api", &DeleteParams::background()).await.unwrap();
    operator.reconcile_until_ready().await;
    let condition = operator.condition("Complete").await;
    assert!(
        !condition.is_true && condition.message.contains("rotate-signing-key") && condition.message.contains("\"soon\""),
        "{condition:?}"
    );
    let events: Api<Event> = operator.namespace().api();
    let events = events.list(&ListParams::default()).await.unwrap().items;
    let warned = |event: &Event| event.type_.as_deref() == Some("Warning") && event.note.iter().any(|note| note.contains("\"soon\""));
    assert!(events.iter().any(warned), "{events:?}");
}
