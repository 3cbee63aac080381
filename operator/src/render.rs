//! The command `render FILE`: prints the objects of a Catalog without a cluster.

mod definition;

use std::fmt::Write;

use kube::core::CustomResourceExt as _;
use serde::Serialize;
use serde_json::Value;

use crate::{
    build::{Objects, Prerequisites, Workloads, build},
    crd::Catalog,
    secrets,
    validate::{Plan, Problem, Problems, Reason, validate_offline},
};

/// Reasons why a Catalog cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The text isn't YAML.
    #[error("not YAML: {0}")]
    Yaml(#[from] serde_norway::Error),
    /// The text is YAML, but not a Catalog.
    #[error("not a Catalog: set apiVersion: {api_version} and kind: Catalog", api_version = Catalog::api_resource().api_version)]
    NotACatalog,
    /// An object cannot be serialised.
    #[error("cannot serialise an object: {0}")]
    Json(#[from] serde_json::Error),
    /// The Catalog is invalid.
    #[error("{}", list(.0))]
    Invalid(Problems),
}

fn list(problems: &Problems) -> String {
    problems.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Renders the objects of the Catalog in `text` as YAML documents, in the order in which they are applied. Referenced Secrets are assumed
/// to exist; of generated Secrets only the names are listed.
///
/// # Errors
/// If the text isn't a Catalog, or if it is invalid.
pub fn render(text: &str, keda: bool) -> Result<String, RenderError> {
    let value: Value = serde_norway::from_str(text)?;
    let resource = Catalog::api_resource();
    if value["kind"] != resource.kind || value["apiVersion"] != resource.api_version {
        return Err(RenderError::NotACatalog);
    }
    let value = definition::defaulted(&value);
    let problems = definition::problems(&value);
    if !problems.is_empty() {
        return Err(RenderError::Invalid(Problems(problems)));
    }
    let catalog: Catalog = serde_json::from_value(value).map_err(|error| RenderError::Invalid(unreadable(&error)))?;
    let plan = validate_offline(&catalog, keda).map_err(RenderError::Invalid)?;
    Ok(text_of(&plan, &documents(&build(&plan))?)?)
}

fn unreadable(error: &serde_json::Error) -> Problems {
    Problems(vec![Problem { path: "spec".into(), reason: Reason::InvalidValue, message: error.to_string() }])
}

fn text_of(plan: &Plan, documents: &[Value]) -> Result<String, serde_norway::Error> {
    let names: Vec<String> = secrets::names(plan).into_keys().collect();
    let mut text = format!("# Secrets that the operator generates: {}\n", names.join(", "));
    for skipped in &plan.skipped {
        let _ = writeln!(text, "# {}: {}", skipped.path, skipped.message);
    }
    for document in documents {
        let _ = write!(text, "---\n{}", serde_norway::to_string(document)?);
    }
    Ok(text)
}

/// Returns all objects as JSON, in the order in which they are applied.
///
/// # Errors
/// If an object cannot be serialised.
pub fn documents(objects: &Objects) -> Result<Vec<Value>, serde_json::Error> {
    // All fields are listed, so that a new field causes a compile error here.
    let Objects { prerequisites, migration, workloads } = objects;
    let Prerequisites { claims, secrets, service_accounts, config_maps, services, stateful_sets } = prerequisites;
    let Workloads { deployments, pod_disruption_budgets, autoscalers, trigger_authentications, scaled_objects } = workloads;
    let mut documents = Vec::new();
    add(&mut documents, claims)?;
    add(&mut documents, secrets)?;
    add(&mut documents, service_accounts)?;
    add(&mut documents, config_maps)?;
    add(&mut documents, services)?;
    add(&mut documents, stateful_sets)?;
    add(&mut documents, std::slice::from_ref(migration))?;
    add(&mut documents, deployments)?;
    add(&mut documents, pod_disruption_budgets)?;
    add(&mut documents, autoscalers)?;
    add(&mut documents, trigger_authentications)?;
    add(&mut documents, scaled_objects)?;
    Ok(documents)
}

fn add<T: Serialize>(documents: &mut Vec<Value>, objects: &[T]) -> Result<(), serde_json::Error> {
    for object in objects {
        documents.push(serde_json::to_value(object)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares the output with the golden file, which `make generate` writes.
    fn matches_golden_file(name: &str, keda: bool) {
        let directory = env!("CARGO_MANIFEST_DIR");
        let rendered = render(&std::fs::read_to_string(format!("{directory}/samples/{name}.yaml")).unwrap(), keda).unwrap();
        let path = format!("{directory}/tests/golden/{name}.yaml");
        if std::env::var_os("RENEW_GOLDEN").is_some() {
            std::fs::write(&path, &rendered).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(rendered == golden, "{path} is stale: run `make generate` and read the difference");
    }

    #[test]
    fn the_minimal_sample_matches_its_golden_file() {
        matches_golden_file("minimal", true);
    }

    #[test]
    fn the_full_sample_matches_its_golden_file() {
        matches_golden_file("full", true);
    }

    #[test]
    fn the_sample_of_make_run_matches_its_golden_file() {
        matches_golden_file("catalog", true);
    }

    #[test]
    fn without_keda_an_autoscaled_worker_has_fixed_replicas_and_the_output_says_so() {
        let text = include_str!("../samples/catalog.yaml");
        let rendered = render(text, false).unwrap();
        assert!(
            rendered.contains("# spec.notifier.autoscaling: KEDA is not installed: replicas is fixed at 1 until it is\n"),
            "{rendered}"
        );
        assert!(!rendered.contains("keda.sh"));
    }

    #[test]
    fn text_that_is_not_a_catalog_is_rejected() {
        assert!(matches!(render("a: [", true), Err(RenderError::Yaml(_))));
        assert!(matches!(render("apiVersion: v1\nkind: Secret", true), Err(RenderError::NotACatalog)));
    }
}
