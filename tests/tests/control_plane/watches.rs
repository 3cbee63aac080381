//! Whatever changes is seen at once, and whatever wasn't seen is found.

use catalog_operator::crd::Catalog;
use catalog_tests::{
    control_plane::{
        ApiServer, FakeControllers, Namespace, Watched, definitions,
        operator::{NAME, catalog},
        specs::{full, minimal, with},
    },
    eventually,
    wait::holds,
};
use k8s_openapi::{api::apps::v1::Deployment, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

async fn is_ready(namespace: &Namespace, name: &str) -> Result<(), String> {
    let status = namespace.api::<Catalog>().get(name).await.map_err(|error| error.to_string())?.status.unwrap_or_default();
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
    holds(ready.is_some_and(|ready| ready.status == "True"), || format!("{ready:?}"))
}

/// Applies the Catalog, with the Secrets it refers to, in a cluster where everything goes well.
async fn becomes_ready(namespace: &Namespace, spec: &Value) {
    write_secret(namespace, "mail", "secret").await;
    write_secret(namespace, "registry", "secret").await;
    namespace.apply(&catalog(spec)).await.unwrap();
    goes_well(namespace).await;
}

async fn goes_well(namespace: &Namespace) {
    let controllers = FakeControllers::new(namespace);
    eventually("the shop is ready", async || {
        controllers.everything_goes_well().await;
        is_ready(namespace, NAME).await
    })
    .await;
}

async fn write_secret(namespace: &Namespace, name: &str, password: &str) {
    let data = json!({"username": "shop", "password": password});
    namespace.apply(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data})).await.unwrap();
}

async fn secrets_hash(namespace: &Namespace) -> Option<String> {
    let notifier = namespace.api::<Deployment>().get("shop-notifier").await.unwrap();
    notifier.spec.template.metadata.unwrap().annotations.unwrap().get("catalog.rs/secrets-hash").cloned()
}

#[tokio::test]
async fn a_catalog_that_is_applied_becomes_a_shop() {
    let namespace = Watched::shared().namespace("applied").await;
    becomes_ready(&namespace, &full()).await;
}

#[tokio::test]
async fn a_catalog_that_is_not_ready_is_counted() {
    // Of its own, as others' Catalogs are not ready either for a while.
    let watched = Watched::start().await;
    let namespace = watched.namespace("counted").await;
    namespace.apply(&catalog(&with(full(), "/mail/credentialsSecretRef/name", json!("nowhere")))).await.unwrap();
    eventually("it is counted", async || {
        let text = watched.metrics();
        let counted = text.lines().find(|line| line.starts_with(r#"catalog_operator_catalogs{condition="Ready",status="False"}"#));
        holds(counted.is_some_and(|line| line.ends_with(" 1")), || text.clone())
    })
    .await;
}

#[tokio::test]
async fn what_is_deleted_is_seen_and_comes_back() {
    let namespace = Watched::shared().namespace("seen").await;
    becomes_ready(&namespace, &minimal()).await;
    let deployments = namespace.api::<Deployment>();
    let before = deployments.get("shop-api").await.unwrap().uid();
    deployments.delete("shop-api", &DeleteParams::background()).await.unwrap();
    eventually("the Deployment is back", async || match deployments.get_opt("shop-api").await.unwrap() {
        Some(now) if now.uid() != before => Ok(()),
        other => Err(other.and_then(|one| one.uid())),
    })
    .await;
}

#[tokio::test]
async fn a_secret_that_somebody_changes_rolls_the_pods_that_use_it() {
    let namespace = Watched::shared().namespace("changed-secret").await;
    becomes_ready(&namespace, &full()).await;
    let before = secrets_hash(&namespace).await;
    assert!(before.is_some());
    write_secret(&namespace, "mail", "another").await;
    eventually("the pods of the notifier are new", async || holds(secrets_hash(&namespace).await != before, || "the same hash")).await;
}

#[tokio::test]
async fn a_secret_that_comes_later_is_seen() {
    let namespace = Watched::shared().namespace("late-secret").await;
    namespace.apply(&catalog(&with(minimal(), "/mail/credentialsSecretRef", json!({"name": "late"})))).await.unwrap();
    eventually("the Secret is missed", async || {
        let status = namespace.api::<Catalog>().get(NAME).await.unwrap().status.unwrap_or_default();
        holds(status.conditions.iter().any(|condition| condition.reason == "SecretNotFound"), || format!("{status:?}"))
    })
    .await;
    write_secret(&namespace, "late", "secret").await;
    goes_well(&namespace).await;
}

#[tokio::test]
async fn a_catalog_that_cannot_be_understood_stops_nobody_else() {
    let server = ApiServer::start().await;
    let client = server.client().await;
    // A definition of another release, which says less of what is allowed.
    let definitions = Api::<CustomResourceDefinition>::all(client.clone());
    let mut definition = definitions.get("catalogs.catalog.rs").await.unwrap();
    let anything = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    definition.spec.versions[0].schema = Some(serde_json::from_value(anything).unwrap());
    definitions.replace("catalogs.catalog.rs", &PostParams::default(), &definition).await.unwrap();
    let namespace = Namespace::new(&server, "misunderstood").await;
    let resource = definitions::resource_of::<Catalog>();
    let strange =
        json!({"apiVersion": "catalog.rs/v1alpha1", "kind": "Catalog", "metadata": {"name": "strange"}, "spec": {"currency": ["EUR"]}});
    eventually("the definition allows it", async || {
        namespace.dynamic(&resource).create(&PostParams::default(), &serde_json::from_value(strange.clone()).unwrap()).await
    })
    .await;
    let _watched = Watched::on(server).await;
    becomes_ready(&namespace, &full()).await;
    let strange = namespace.dynamic(&resource).get("strange").await.unwrap();
    assert_eq!(strange.data["status"], Value::Null, "nothing is known of it, so nothing is said");
}

#[tokio::test]
async fn what_happened_while_no_watch_worked_is_found_afterwards() {
    let watched = Watched::start().await;
    let namespace = watched.namespace("deaf").await;
    becomes_ready(&namespace, &full()).await;
    watched.wire().make_deaf(true);
    let deployments = namespace.api::<Deployment>();
    deployments.delete("shop-tracker", &DeleteParams::background()).await.unwrap();
    let container = deployments.get("shop-api").await.unwrap().spec.template.spec.unwrap().containers.remove(0).name;
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": container, "image": "example.com/another"}]}}}});
    deployments.patch("shop-api", &PatchParams::default(), &Patch::Strategic(image)).await.unwrap();
    namespace.apply(&catalog(&with(full(), "/notifier", json!({"replicas": 3})))).await.unwrap();
    watched.wire().make_deaf(false);
    eventually("everything is found", async || {
        let list = deployments.list(&ListParams::default()).await.unwrap().items;
        let find = |name: &str| list.iter().find(|one| one.name_any() == name);
        let image = find("shop-api").and_then(|api| api.spec.template.spec.as_ref()?.containers[0].image.clone());
        let replicas = find("shop-notifier").and_then(|notifier| notifier.spec.replicas);
        let whole = find("shop-tracker").is_some() && image.as_deref() != Some("example.com/another") && replicas == Some(3);
        holds(whole, || format!("{image:?} {replicas:?}"))
    })
    .await;
}
