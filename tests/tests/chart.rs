//! The operator's chart fits the operator.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "in a test, a panic is the report of a failure")]

use std::{collections::BTreeSet, fs, path::PathBuf};

use catalog_operator::{crd, kinds::Kind};
use serde::Deserialize;

/// The release of all packages.
const VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    api_groups: Vec<String>,
    resources: Vec<String>,
    #[serde(default)]
    resource_names: Vec<String>,
    verbs: BTreeSet<String>,
}

#[test]
fn the_operator_has_the_permissions_that_it_uses_and_no_others() {
    let rules = rules();
    for kind in Kind::ALL {
        let resource = kind.resource();
        let allowed = rules.iter().find(|rule| rule.api_groups == [&*resource.group] && rule.resources.contains(&resource.plural));
        let allowed = &allowed.unwrap_or_else(|| panic!("nothing is allowed on {}", resource.plural)).verbs;
        let mut needed: BTreeSet<_> = ["get", "list", "watch", "create", "patch"].map(str::to_owned).into();
        if kind == Kind::Secret {
            // Keys are added to a Secret by replacing it.
            needed.insert("update".into());
        }
        // A claim without a volume is replaced; Secrets are never deleted.
        if kind != Kind::Secret {
            needed.insert("delete".into());
        }
        assert_eq!(*allowed, needed, "{}", resource.plural);
    }
}

#[test]
fn the_operator_owns_all_that_it_may_write() {
    let owned: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.resource().plural).collect();
    let others = ["catalogs/status", "catalogs/finalizers", "events"];
    for rule in rules() {
        let writes = rule.verbs.iter().any(|verb| !["get", "list", "watch"].contains(&verb.as_str()));
        for resource in &rule.resources {
            assert!(!writes || owned.contains(resource) || others.contains(&resource.as_str()), "{resource} is written");
        }
        assert!(rule.verbs.iter().chain(&rule.resources).chain(&rule.api_groups).all(|word| word != "*"), "no rule is for everything");
        assert!(rule.resource_names.len() <= 1);
    }
}

#[test]
fn the_operator_may_list_leases_of_its_name_in_all_namespaces() {
    let rules = rules();
    let leases: Vec<_> = rules.iter().filter(|rule| rule.resources.contains(&"leases".to_owned())).collect();
    assert_eq!(leases.len(), 1);
    assert_eq!(
        (leases[0].resource_names.as_slice(), &leases[0].verbs),
        (["catalog-operator".to_owned()].as_slice(), &["list".to_owned()].into())
    );
}

#[test]
fn the_operator_can_make_its_deployment_the_owner_of_its_lease() {
    let deployment = read("charts/catalog-operator/templates/deployment.yaml");
    let named = "name: {{ .Release.Name }}\n  namespace: {{ .Release.Namespace }}\n";
    assert!(deployment.contains(named), "the Deployment has the name that its pods are given");
    assert!(deployment.contains("- {name: DEPLOYMENT_NAME, value: {{ .Release.Name | quote }}}\n"));
    let namespace = "- name: POD_NAMESPACE\n              valueFrom: {fieldRef: {fieldPath: metadata.namespace}}\n";
    assert!(deployment.contains(namespace), "the Lease is in the namespace of the Deployment, as an owner has to be");
    // The admission plugin OwnerReferencesPermissionEnforcement asks for `delete` on an object whose owner changes.
    let role = read("charts/catalog-operator/templates/rbac.yaml");
    let (_, role) = role.split_once("kind: Role\n").unwrap();
    let (_, rule) = role.split_once("resourceNames: [catalog-operator]\n").unwrap();
    assert!(rule.lines().find(|line| line.contains("verbs:")).is_some_and(|line| line.ends_with("[get, update, delete]")), "{rule}");
    let reads = |rule: &Rule| rule.resources.contains(&"deployments".to_owned()) && rule.verbs.contains("get");
    assert!(rules().iter().any(reads), "the uid of the Deployment is read");
}

#[test]
fn the_chart_contains_the_crd_of_this_release() {
    assert_eq!(read("charts/catalog-operator/files/catalog-definition.yaml"), crd::yaml().unwrap(), "run `make generate`");
}

#[test]
fn chart_and_manifests_name_this_release() {
    let chart: serde_json::Value = serde_norway::from_str(&read("charts/catalog-operator/Chart.yaml")).unwrap();
    assert_eq!(chart["appVersion"], VERSION);
    assert_eq!(chart["version"], VERSION);
    assert!(read("deploy/cluster/manifests/inbox.yaml").contains(&format!("image: catalogctl:{VERSION}\n")));
}

fn rules() -> Vec<Rule> {
    serde_norway::from_str(&read("charts/catalog-operator/files/rules.yaml")).unwrap()
}

fn read(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_built_in_cluster_roles_may_use_catalogs() {
    let roles = read("charts/catalog-operator/templates/aggregated-roles.yaml");
    let documents: Vec<_> = roles.split("---\n").collect();
    let (view, edit) = (documents[0], documents[1]);
    for role in ["view", "edit", "admin"] {
        assert!(view.contains(&format!("rbac.authorization.k8s.io/aggregate-to-{role}: \"true\"")), "{role} may read");
        assert_eq!(edit.contains(&format!("aggregate-to-{role}: \"true\"")), role != "view", "{role}");
    }
    assert!(view.contains("verbs: [get, list, watch]") && !view.contains("create"));
    assert!(edit.contains("verbs: [create, update, patch, delete, deletecollection]"));
}

#[test]
fn the_notes_say_how_to_install_the_crd_if_the_release_does_not() {
    let notes = read("charts/catalog-operator/templates/NOTES.txt");
    let (always, rest) = notes.split_once("{{- if not .Values.crds.install }}\n").unwrap();
    let (without_crd, end) = rest.split_once("{{- end }}").unwrap();
    assert!(!always.contains("CustomResourceDefinition") && end.trim().is_empty(), "{notes}");
    // A CRD that exists was installed by another release or with the command below.
    assert!(!without_crd.contains("was not installed"), "{without_crd}");
    let command = "docker run --rm {{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }} crd | kubectl apply";
    assert!(without_crd.contains(command), "{without_crd}");
    assert!(without_crd.contains(&crd::definition().metadata.name.unwrap()), "{without_crd}");
    let dockerfile = read("Dockerfile");
    assert!(dockerfile.contains("ENTRYPOINT [\"/usr/local/bin/catalog-operator\"]"), "the command `crd` is an argument of the image");
    // A user without permission to read CRDs couldn't install the chart.
    assert!(!notes.contains("lookup"), "{notes}");
}

#[test]
fn the_readme_says_that_a_second_release_does_not_install_the_crd() {
    let readme = read("charts/catalog-operator/README.md");
    let name = crd::definition().metadata.name.unwrap();
    assert!(readme.contains(&format!("`CustomResourceDefinition \"{name}\" … exists and cannot be imported into the current release`")));
    for option in ["--set crds.install=false\n", "--set crds.install=true --take-ownership\n"] {
        assert!(readme.contains(option), "{option}");
    }
    let crd = read("charts/catalog-operator/templates/crd.yaml");
    assert!(crd.contains("\"helm.sh/resource-policy\" \"keep\""), "the first release can be uninstalled without deleting all Catalogs");
}
