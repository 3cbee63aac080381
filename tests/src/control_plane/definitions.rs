//! Cluster-scoped objects: CRDs, a storage class and RBAC.

use std::{fs, path::Path};

use k8s_openapi::{
    api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, RoleRef, Subject},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind, ObjectMeta},
};
use serde_json::{Value, json};

use super::{certificates::OPERATOR, programs::script};
use crate::wait::{check, eventually};

/// The resources of KEDA that the operator creates.
const KEDA: [&str; 2] = ["scaledobjects", "triggerauthentications"];

/// Installs `crds/catalog.yaml`.
///
/// # Panics
/// If the API server rejects it.
pub async fn install_catalog(client: &Client) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/catalog.yaml");
    install(client, &fs::read_to_string(path).expect("crds/catalog.yaml exists")).await;
}

/// Installs KEDA's CRDs from the Go module that the cluster suite uses.
///
/// # Panics
/// If they cannot be downloaded, or the API server rejects them.
pub async fn install_keda(client: &Client) {
    let found = "
        . ./cache; . ./go-toolchain; find_go \"$PWD/go/keda\" >&2; cd go/keda
        GOWORK=off GOFLAGS=-mod=readonly go mod download -json github.com/kedacore/keda/v2";
    let module: Value = serde_json::from_str(&script(found)).expect("`go mod download -json` prints JSON");
    let directory = Path::new(module["Dir"].as_str().expect("the module has a directory")).join("config/crd/bases");
    for name in KEDA {
        let path = directory.join(format!("keda.sh_{name}.yaml"));
        install(client, &fs::read_to_string(path).expect("KEDA's module contains its CRDs")).await;
    }
}

/// Deletes KEDA's CRDs and thereby all their objects.
///
/// # Panics
/// If they cannot be deleted.
pub async fn uninstall_keda(client: &Client) {
    let definitions = Api::<CustomResourceDefinition>::all(client.clone());
    for name in KEDA {
        let name = format!("{name}.keda.sh");
        definitions.delete(&name, &DeleteParams::default()).await.expect("a CRD can be deleted");
        eventually("the CRD is deleted", async || match definitions.get_opt(&name).await {
            Ok(None) => Ok(()),
            other => Err(other),
        })
        .await;
    }
}

async fn install(client: &Client, yaml: &str) {
    let definition: CustomResourceDefinition = serde_norway::from_str(yaml).expect("a CRD");
    let definitions = Api::<CustomResourceDefinition>::all(client.clone());
    let name = definition.name_any();
    definitions.patch(&name, &PatchParams::apply("suite").force(), &Patch::Apply(&definition)).await.expect("it is accepted");
    eventually("the custom resource is served", async || {
        let live = definitions.get(&name).await.map_err(|error| error.to_string())?;
        let conditions = live.status.and_then(|status| status.conditions).unwrap_or_default();
        let established = conditions.iter().any(|condition| condition.type_ == "Established" && condition.status == "True");
        check(established, || format!("{conditions:?}"))?;
        // The condition is set shortly before the path is served.
        let version = &definition.spec.versions[0].name;
        let resource = ApiResource::from_gvk_with_plural(
            &GroupVersionKind::gvk(&definition.spec.group, version, &definition.spec.names.kind),
            &definition.spec.names.plural,
        );
        let objects = Api::<DynamicObject>::all_with(client.clone(), &resource);
        objects.list(&ListParams::default()).await.map(|_| ()).map_err(|error| error.to_string())
    })
    .await;
}

/// Installs a default storage class that allows volume expansion.
///
/// # Panics
/// If the API server rejects it.
pub async fn install_storage_class(client: &Client) {
    let class = json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "suite.catalog.rs/none",
        "allowVolumeExpansion": true,
    });
    let classes = Api::<k8s_openapi::api::storage::v1::StorageClass>::all(client.clone());
    classes.patch("standard", &PatchParams::apply("suite"), &Patch::Apply(&class)).await.expect("it is accepted");
}

/// Grants operators the permissions that the chart grants.
///
/// # Panics
/// If the API server rejects them.
pub async fn install_rbac(client: &Client) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/catalog-operator/files/rules.yaml");
    let mut rules: Vec<PolicyRule> = serde_norway::from_str(&fs::read_to_string(path).expect("the chart has rules")).expect("rules");
    // In the chart this rule is in a Role.
    let leases = json!({"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update", "delete"]});
    rules.push(serde_json::from_value(leases).expect("a rule"));
    let metadata = ObjectMeta { name: Some(OPERATOR.into()), ..ObjectMeta::default() };
    let role = ClusterRole { metadata: metadata.clone(), rules: Some(rules), ..ClusterRole::default() };
    let group = "rbac.authorization.k8s.io";
    let binding = ClusterRoleBinding {
        metadata,
        role_ref: RoleRef { api_group: Some(group.into()), kind: "ClusterRole".into(), name: OPERATOR.into() },
        subjects: Some(vec![Subject { api_group: Some(group.into()), kind: "User".into(), name: OPERATOR.into(), namespace: None }]),
    };
    let params = PatchParams::apply("suite");
    Api::<ClusterRole>::all(client.clone()).patch(OPERATOR, &params, &Patch::Apply(&role)).await.expect("it is accepted");
    Api::<ClusterRoleBinding>::all(client.clone()).patch(OPERATOR, &params, &Patch::Apply(&binding)).await.expect("it is accepted");
}

/// Returns the resource of a kind that has no Rust type here.
pub fn resource(group: &str, version: &str, kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

/// Returns the resource of a kind that has a Rust type.
pub fn resource_of<K: Resource<DynamicType = ()>>() -> ApiResource {
    ApiResource::erase::<K>(&())
}
