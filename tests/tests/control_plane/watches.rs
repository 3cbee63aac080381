//! The operator reconciles on each change, and catches up after watches were interrupted.

use catalog_operator::crd::Catalog;
use catalog_tests::{
    control_plane::{
        ApiServer, FakeControllers, Namespace, RunningOperator, definitions,
        operator::{NAME, catalog},
        specs::{full, minimal, with},
    },
    eventually,
    wait::check,
};
use k8s_openapi::{
    api::{apps::v1::Deployment, events::v1::Event},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

async fn is_ready(namespace: &Namespace, name: &str) -> Result<(), String> {
    let status = namespace.api::<Catalog>().get(name).await.map_err(|error| error.to_string())?.status.unwrap_or_default();
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
    check(ready.is_some_and(|ready| ready.status == "True"), || format!("{ready:?}"))
}

/// Applies a Catalog and the Secrets to which it refers, and waits until it is ready.
async fn apply_until_ready(namespace: &Namespace, spec: &Value) {
    write_secret(namespace, "mail", "secret").await;
    write_secret(namespace, "registry", "secret").await;
    namespace.apply(&catalog(spec)).await.unwrap();
    wait_until_ready(namespace).await;
}

async fn wait_until_ready(namespace: &Namespace) {
    let controllers = FakeControllers::new(namespace);
    eventually("the shop is ready", async || {
        controllers.complete_all().await;
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
async fn an_applied_catalog_becomes_ready() {
    let namespace = RunningOperator::shared().namespace("applied").await;
    apply_until_ready(&namespace, &full()).await;
}

#[tokio::test]
async fn the_metrics_count_catalogs_that_are_not_ready() {
    // Not the shared operator, which counts the Catalogs of other tests.
    let operator = RunningOperator::start().await;
    let namespace = operator.namespace("counted").await;
    namespace.apply(&catalog(&with(full(), "/mail/credentialsSecretRef/name", json!("nowhere")))).await.unwrap();
    eventually("the metric counts one Catalog", async || {
        let text = operator.metrics();
        let counted = text.lines().find(|line| line.starts_with(r#"catalog_operator_catalogs{condition="Ready",status="False"}"#));
        check(counted.is_some_and(|line| line.ends_with(" 1")), || text.clone())
    })
    .await;
}

#[tokio::test]
async fn a_deleted_deployment_is_recreated() {
    let namespace = RunningOperator::shared().namespace("seen").await;
    apply_until_ready(&namespace, &minimal()).await;
    let deployments = namespace.api::<Deployment>();
    let before = deployments.get("shop-api").await.unwrap().uid();
    deployments.delete("shop-api", &DeleteParams::background()).await.unwrap();
    eventually("the Deployment is recreated", async || match deployments.get_opt("shop-api").await.unwrap() {
        Some(now) if now.uid() != before => Ok(()),
        other => Err(other.and_then(|one| one.uid())),
    })
    .await;
}

#[tokio::test]
async fn a_changed_secret_replaces_the_pods_that_use_it() {
    let namespace = RunningOperator::shared().namespace("changed-secret").await;
    apply_until_ready(&namespace, &full()).await;
    let before = secrets_hash(&namespace).await;
    assert!(before.is_some());
    write_secret(&namespace, "mail", "another").await;
    eventually("the pod template of the notifier has another hash", async || {
        check(secrets_hash(&namespace).await != before, || "the same hash")
    })
    .await;
}

#[tokio::test]
async fn a_catalog_becomes_ready_when_its_missing_secret_is_created() {
    let namespace = RunningOperator::shared().namespace("late-secret").await;
    namespace.apply(&catalog(&with(minimal(), "/mail/credentialsSecretRef", json!({"name": "late"})))).await.unwrap();
    eventually("the missing Secret is reported", async || {
        let status = namespace.api::<Catalog>().get(NAME).await.unwrap().status.unwrap_or_default();
        check(status.conditions.iter().any(|condition| condition.reason == "SecretNotFound"), || format!("{status:?}"))
    })
    .await;
    write_secret(&namespace, "late", "secret").await;
    wait_until_ready(&namespace).await;
}

#[tokio::test]
async fn a_catalog_that_cannot_be_parsed_does_not_block_other_catalogs() {
    let server = ApiServer::start().await;
    let client = server.client().await;
    // The CRD of another release, with a more permissive schema.
    set_schema(&client, &json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})).await;
    let namespace = Namespace::new(&server, "misunderstood").await;
    let resource = definitions::resource_of::<Catalog>();
    let invalid =
        json!({"apiVersion": "catalog.rs/v1alpha1", "kind": "Catalog", "metadata": {"name": "invalid"}, "spec": {"currency": ["EUR"]}});
    eventually("the CRD accepts the Catalog", async || {
        namespace.dynamic(&resource).create(&PostParams::default(), &serde_json::from_value(invalid.clone()).unwrap()).await
    })
    .await;
    let _operator = RunningOperator::on(server).await;
    apply_until_ready(&namespace, &full()).await;
    eventually("its status reports InvalidSpec", async || {
        let invalid = namespace.dynamic(&resource).get("invalid").await.unwrap();
        check(invalid.data["status"]["conditions"][0]["reason"] == "InvalidSpec", || invalid.data["status"].clone())
    })
    .await;
}

/// A Catalog with a field of another type, as it was stored with the CRD of an earlier release. That CRD has been replaced.
async fn store_with(server: &ApiServer, field: &str, value: Value) -> (Namespace, Api<DynamicObject>) {
    let client = server.client().await;
    let current = Api::<CustomResourceDefinition>::all(client.clone()).get("catalogs.catalog.rs").await.unwrap();
    set_schema(&client, &json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})).await;
    let namespace = Namespace::new(server, "unreadable").await;
    let catalogs = namespace.dynamic(&definitions::resource_of::<Catalog>());
    let stored: DynamicObject = serde_json::from_value(with(catalog(&full()), field, value)).unwrap();
    eventually("the CRD accepts the Catalog", async || catalogs.create(&PostParams::default(), &stored).await).await;
    let was = |kind: &str| json!({"type": kind, "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let status = json!({"status": {"conditions": [was("Ready"), was("ApiAvailable")]}});
    catalogs.patch_status(NAME, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    set_schema(&client, &serde_json::to_value(&current.spec.versions[0].schema).unwrap()["openAPIV3Schema"]).await;
    eventually("the CRD rejects it", async || {
        let mut another = stored.clone();
        another.metadata.name = Some("another".into());
        let dry_run = PostParams { dry_run: true, ..PostParams::default() };
        check(catalogs.create(&dry_run, &another).await.is_err(), || "the CRD still accepts it")
    })
    .await;
    (namespace, catalogs)
}

fn find(catalog: &DynamicObject, kind: &str) -> [String; 3] {
    let conditions = catalog.data["status"]["conditions"].as_array().unwrap();
    let found = conditions.iter().find(|condition| condition["type"] == kind).cloned().unwrap_or_default();
    ["status", "reason", "message"].map(|field| found[field].as_str().unwrap_or_default().to_owned())
}

/// Waits for the Event `InvalidSpec` and returns its note.
async fn invalid_spec_note(namespace: &Namespace) -> String {
    eventually("an Event reports InvalidSpec", async || {
        let event = namespace.all::<Event>().await.into_iter().find(|event| event.reason.as_deref() == Some("InvalidSpec"));
        event.and_then(|event| event.note).ok_or("no Event")
    })
    .await
}

#[tokio::test]
async fn a_catalog_that_cannot_be_read_reports_the_field_until_it_is_corrected() {
    let server = ApiServer::start().await;
    let (namespace, catalogs) = store_with(&server, "/spec/paused", json!("no")).await;
    let operator = RunningOperator::on(server).await;
    eventually("the status names the invalid field", async || {
        let catalog = catalogs.get(NAME).await.unwrap();
        let [status, reason, message] = find(&catalog, "Ready");
        let is_named = message.contains("spec.paused: invalid type: string \"no\", expected a boolean");
        let is_unknown = find(&catalog, "ApiAvailable")[0] == "Unknown" && find(&catalog, "Degraded")[0] == "True";
        check(status == "False" && reason == "InvalidSpec" && is_named && is_unknown, || catalog.data["status"].clone())
    })
    .await;
    assert!(invalid_spec_note(&namespace).await.contains("spec.paused: invalid type"));
    let counted = operator.metrics();
    assert!(counted.contains(r#"catalog_operator_catalogs{condition="Ready",status="False"} 1"#), "{counted}");
    let corrected = json!({"spec": {"paused": false}});
    catalogs.patch(NAME, &PatchParams::default(), &Patch::Merge(corrected)).await.unwrap();
    apply_until_ready(&namespace, &full()).await;
    assert_eq!(find(&catalogs.get(NAME).await.unwrap(), "ApiAvailable")[0], "True");
}

#[tokio::test]
async fn an_event_reports_the_field_of_an_unreadable_catalog_if_the_api_server_rejects_its_status() {
    let server = ApiServer::start().await;
    // Its CEL rule cannot be evaluated.
    let (namespace, _) = store_with(&server, "/spec/currency", json!(["EUR"])).await;
    let operator = RunningOperator::on(server).await;
    assert!(invalid_spec_note(&namespace).await.contains("spec.currency: invalid type: sequence, expected a string"));
    let counted = operator.metrics();
    assert!(counted.contains(r#"catalog_operator_catalogs{condition="Ready",status="False"} 1"#), "{counted}");
}

async fn set_schema(client: &Client, schema: &Value) {
    let definitions = Api::<CustomResourceDefinition>::all(client.clone());
    let mut definition = definitions.get("catalogs.catalog.rs").await.unwrap();
    definition.spec.versions[0].schema = Some(serde_json::from_value(json!({"openAPIV3Schema": schema})).unwrap());
    definitions.replace("catalogs.catalog.rs", &PostParams::default(), &definition).await.unwrap();
}

#[tokio::test]
async fn changes_during_a_watch_outage_are_reconciled_after_it() {
    let operator = RunningOperator::start().await;
    let namespace = operator.namespace("watch-outage").await;
    apply_until_ready(&namespace, &full()).await;
    operator.recorder().break_watches(true);
    let deployments = namespace.api::<Deployment>();
    deployments.delete("shop-tracker", &DeleteParams::background()).await.unwrap();
    let container = deployments.get("shop-api").await.unwrap().spec.template.spec.unwrap().containers.remove(0).name;
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": container, "image": "example.com/another"}]}}}});
    deployments.patch("shop-api", &PatchParams::default(), &Patch::Strategic(image)).await.unwrap();
    namespace.apply(&catalog(&with(full(), "/notifier", json!({"replicas": 3})))).await.unwrap();
    operator.recorder().break_watches(false);
    eventually("all changes are reconciled", async || {
        let list = deployments.list(&ListParams::default()).await.unwrap().items;
        let find = |name: &str| list.iter().find(|one| one.name_any() == name);
        let image = find("shop-api").and_then(|api| api.spec.template.spec.as_ref()?.containers[0].image.clone());
        let replicas = find("shop-notifier").and_then(|notifier| notifier.spec.replicas);
        let is_reconciled = find("shop-tracker").is_some() && image.as_deref() != Some("example.com/another") && replicas == Some(3);
        check(is_reconciled, || format!("{image:?} {replicas:?}"))
    })
    .await;
}
