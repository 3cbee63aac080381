//! `render FILE`: what a Catalog would become, without a cluster.

mod definition;

use std::fmt::Write;

use kube::core::CustomResourceExt as _;
use serde::Serialize;
use serde_json::Value;

use crate::{
    build::{Objects, Prerequisites, Workloads, build},
    crd::Catalog,
    secrets,
    validate::{Plan, Problem, Problems, Reason, validate_unseen},
};

/// Why nothing can be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The text isn't YAML.
    #[error("not YAML: {0}")]
    Yaml(#[from] serde_norway::Error),
    /// The text is YAML, and no Catalog.
    #[error("this is not a Catalog: give apiVersion: {api_version} and kind: Catalog", api_version = Catalog::api_resource().api_version)]
    NotACatalog,
    /// An object cannot be written down.
    #[error("an object cannot be written down: {0}")]
    Json(#[from] serde_json::Error),
    /// The Catalog would be refused.
    #[error("{}", list(.0))]
    Refused(Problems),
}

fn list(problems: &Problems) -> String {
    problems.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The YAML documents that the Catalog in `text` would become, in the order in which they are applied.
/// Secrets that it refers to are taken to be there; those that the operator generates are named only.
///
/// # Errors
/// If it isn't a Catalog, or would be refused.
pub fn render(text: &str, keda: bool) -> Result<String, RenderError> {
    let value: Value = serde_norway::from_str(text)?;
    let resource = Catalog::api_resource();
    if value["kind"] != resource.kind || value["apiVersion"] != resource.api_version {
        return Err(RenderError::NotACatalog);
    }
    let value = definition::defaulted(&value);
    let problems = definition::problems(&value);
    if !problems.is_empty() {
        return Err(RenderError::Refused(Problems(problems)));
    }
    let catalog: Catalog = serde_json::from_value(value).map_err(|error| RenderError::Refused(unreadable(&error)))?;
    let plan = validate_unseen(&catalog, keda).map_err(RenderError::Refused)?;
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

/// All objects, in the order in which they are applied.
///
/// # Errors
/// If one cannot be written down.
pub fn documents(objects: &Objects) -> Result<Vec<Value>, serde_json::Error> {
    // Every field by name: a new kind that nobody renders doesn't compile.
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

    /// The reviewed output. `make generate` writes it anew.
    fn is_golden(name: &str, keda: bool) {
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
    fn the_minimal_sample_is_golden() {
        is_golden("minimal", true);
    }

    #[test]
    fn the_full_sample_is_golden() {
        is_golden("full", true);
    }

    #[test]
    fn the_sample_of_make_run_is_golden() {
        is_golden("catalog", true);
    }

    #[test]
    fn without_keda_a_sleeping_worker_is_awake_and_the_text_says_so() {
        let text = include_str!("../samples/catalog.yaml");
        let rendered = render(text, false).unwrap();
        assert!(rendered.contains("# spec.notifier.autoscaling: KEDA is not installed: 1 fixed until it is\n"), "{rendered}");
        assert!(!rendered.contains("keda.sh"));
    }

    #[test]
    fn what_is_no_catalog_is_said_to_be_none() {
        assert!(matches!(render("a: [", true), Err(RenderError::Yaml(_))));
        assert!(matches!(render("apiVersion: v1\nkind: Secret", true), Err(RenderError::NotACatalog)));
    }
}
