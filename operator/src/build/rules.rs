//! Tests of rules that the objects of any Catalog follow.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::Value;

use super::{build, samples};
use crate::{
    crd::{Catalog, WorkerAutoscaling},
    observed::Observed,
    render::documents,
    validate::{Plan, validate},
};

fn objects(plan: &Plan) -> Vec<Value> {
    documents(&build(plan)).unwrap()
}

fn kind_and_name(object: &Value) -> String {
    format!("{} {}", object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap())
}

fn both() -> [Plan; 2] {
    [samples::minimal(), samples::full()]
}

#[test]
fn every_object_has_the_labels_and_the_namespace_of_the_catalog() {
    for object in both().iter().flat_map(objects) {
        let labels = &object["metadata"]["labels"];
        for (label, value) in [("name", "catalog"), ("instance", "shop"), ("managed-by", "catalog-operator"), ("part-of", "catalog")] {
            assert_eq!(labels[format!("app.kubernetes.io/{label}")], value, "{}", kind_and_name(&object));
        }
        assert!(labels["app.kubernetes.io/component"].is_string() && labels["app.kubernetes.io/version"].is_string());
        assert_eq!(object["metadata"]["namespace"], "shops");
    }
}

#[test]
fn every_object_is_owned_by_the_catalog_except_retained_ones() {
    for plan in both() {
        for object in objects(&plan) {
            let retained = plan.retain && matches!(object["kind"].as_str(), Some("PersistentVolumeClaim" | "Secret"));
            let owners = object["metadata"]["ownerReferences"].as_array().map_or(0, Vec::len);
            assert_eq!(owners, usize::from(!retained), "{}", kind_and_name(&object));
            assert!(retained || object["metadata"]["ownerReferences"][0]["controller"] == true);
        }
    }
}

#[test]
fn retained_objects_are_excluded_from_pruning_by_argo_cd() {
    for retain in [true, false] {
        for mut plan in both() {
            plan.retain = retain;
            for object in objects(&plan) {
                let retained = retain && matches!(object["kind"].as_str(), Some("PersistentVolumeClaim" | "Secret"));
                let annotations = &object["metadata"]["annotations"];
                let options = annotations["argocd.argoproj.io/sync-options"].as_str();
                assert_eq!(options, retained.then_some("Delete=false,Prune=false"), "{}", kind_and_name(&object));
                assert_eq!(annotations["argocd.argoproj.io/compare-options"].as_str(), retained.then_some("IgnoreExtraneous"));
            }
        }
    }
}

#[test]
fn every_selector_selects_the_pods_of_its_own_template() {
    for object in both().iter().flat_map(objects) {
        if matches!(object["kind"].as_str(), Some("Deployment" | "StatefulSet")) {
            let labels = &object["spec"]["template"]["metadata"]["labels"];
            for (label, value) in object["spec"]["selector"]["matchLabels"].as_object().unwrap() {
                assert_eq!(&labels[label], value, "{}", kind_and_name(&object));
            }
        }
    }
}

#[test]
fn every_pod_is_restricted_and_has_no_token() {
    for object in both().iter().flat_map(objects) {
        let pod = &object["spec"]["template"]["spec"];
        if pod.is_null() {
            continue;
        }
        let name = kind_and_name(&object);
        assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
        assert_eq!(pod["enableServiceLinks"], false, "{name}");
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        for container in pod["containers"].as_array().unwrap() {
            let security = &container["securityContext"];
            assert_eq!(security["allowPrivilegeEscalation"], false, "{name}");
            assert_eq!(security["readOnlyRootFilesystem"], true, "{name}");
            assert_eq!(security["capabilities"]["drop"][0], "ALL", "{name}");
            assert_eq!(container["terminationMessagePolicy"], "FallbackToLogsOnError", "{name}: conditions quote it");
            assert!(container["resources"]["requests"]["memory"].is_string(), "{name}");
            let variables: Vec<&str> =
                container["env"].as_array().unwrap().iter().map(|variable| variable["name"].as_str().unwrap()).collect();
            assert_eq!(variables.iter().collect::<BTreeSet<_>>().len(), variables.len(), "{name}: duplicate variables");
        }
    }
}

#[test]
fn no_object_contains_a_value_of_a_secret() {
    let text = serde_json::to_string(&objects(&samples::full())).unwrap();
    for value in samples::VALUES.iter().flat_map(|value| value.split_whitespace()).filter(|word| word.to_lowercase().contains("s3cret")) {
        assert!(!text.contains(value), "{value}");
    }
    assert!(!objects(&samples::full()).iter().any(|object| object["kind"] == "Secret" && !object["data"].is_null()));
}

#[test]
fn names_are_unique_per_kind() {
    for plan in both() {
        let objects = objects(&plan);
        let names: BTreeSet<String> = objects.iter().map(kind_and_name).collect();
        assert_eq!(names.len(), objects.len());
    }
}

/// Generates Catalogs with any valid name, namespace and scale.
fn catalogs() -> impl Strategy<Value = (Catalog, Observed)> {
    let scale = (0_i32..3, 3_i32..20);
    (any::<bool>(), "[a-z]([-a-z0-9]{0,38}[a-z0-9])?", "[a-z]([-a-z0-9]{0,61}[a-z0-9])?", scale, any::<bool>(), any::<bool>()).prop_map(
        |(full, name, namespace, (min_replicas, max_replicas), autoscaled, keda)| {
            let (mut catalog, mut observed) = if full { samples::full_input() } else { samples::minimal_input() };
            catalog.metadata.name = Some(name);
            catalog.metadata.namespace = Some(namespace);
            let autoscaling = WorkerAutoscaling { min_replicas, max_replicas, lag_threshold: None };
            catalog.spec.tracker.autoscaling = autoscaled.then(|| autoscaling.clone());
            catalog.spec.fulfiller.autoscaling = autoscaled.then_some(autoscaling);
            observed.keda = keda;
            (catalog, observed)
        },
    )
}

fn is_dns_label(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.len() <= 63 && name.chars().all(plain) && name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.ends_with('-')
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_same_catalog_results_in_the_same_bytes((catalog, observed) in catalogs()) {
        let bytes = || serde_json::to_vec(&objects(&validate(&catalog, &observed).unwrap())).unwrap();
        prop_assert_eq!(bytes(), bytes());
    }

    #[test]
    fn every_derived_name_is_valid((catalog, observed) in catalogs()) {
        let plan = validate(&catalog, &observed).unwrap();
        for object in objects(&plan) {
            let name = object["metadata"]["name"].as_str().unwrap();
            // Controllers append `-0123456789` for the revision of a StatefulSet and `-abcde` for a pod of a Job. KEDA names the
            // autoscaler of a ScaledObject `keda-hpa-<name>`.
            let longest = match object["kind"].as_str().unwrap() {
                "StatefulSet" => format!("{name}-0123456789"),
                "Job" => format!("{name}-abcde"),
                "ScaledObject" => format!("keda-hpa-{name}"),
                _ => name.to_owned(),
            };
            prop_assert!(is_dns_label(&longest), "{}", longest);
            for value in object["metadata"]["labels"].as_object().unwrap().values() {
                prop_assert!(value.as_str().unwrap().len() <= 63);
            }
        }
        prop_assert!(plan.events_prefix.len() <= 64);
        prop_assert!(plan.events_prefix.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'));
    }

    #[test]
    fn replicas_are_declared_by_the_deployment_or_by_an_autoscaler((catalog, observed) in catalogs()) {
        let objects = objects(&validate(&catalog, &observed).unwrap());
        let targets: BTreeSet<&str> = objects.iter().filter_map(|object| object["spec"]["scaleTargetRef"]["name"].as_str()).collect();
        for deployment in objects.iter().filter(|object| object["kind"] == "Deployment") {
            let scaled = targets.contains(deployment["metadata"]["name"].as_str().unwrap());
            prop_assert_eq!(scaled, deployment["spec"]["replicas"].is_null());
        }
    }
}

#[test]
fn catalogs_of_the_same_name_in_two_namespaces_use_different_streams() {
    let prefix = |namespace: &str| {
        let (mut catalog, observed) = samples::minimal_input();
        catalog.metadata.namespace = Some(namespace.into());
        validate(&catalog, &observed).unwrap().events_prefix
    };
    let long = "n".repeat(63);
    assert_ne!(prefix(&long), prefix(&long.replace("nn", "nm")));
    assert_eq!(prefix("shops"), prefix("shops"));
}
