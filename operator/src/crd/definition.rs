//! The custom resource definition, as the API server gets it.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use schemars::Schema;

use super::Catalog;

/// The custom resource definition.
#[must_use]
pub fn definition() -> CustomResourceDefinition {
    let mut definition = Catalog::crd();
    for version in &mut definition.spec.versions {
        if let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            drop_nulls(schema);
        }
    }
    definition
}

/// The custom resource definition, as `crds/catalog.yaml` has it.
///
/// # Errors
/// If it cannot be written as YAML.
pub fn yaml() -> Result<String, serde_norway::Error> {
    serde_norway::to_string(&definition())
}

/// For a field that a rule asks for, in better words than `Required value`: it may be absent, and no default
/// is put in its place.
pub(super) fn without_default(schema: &mut Schema) {
    schema.remove("default");
}

/// Without `nullable` the API server drops a field that is null, so that rules which ask `has(...)`
/// see it as absent, as people mean it.
fn drop_nulls(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    for property in schema.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        drop_nulls(property);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        drop_nulls(values);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        drop_nulls(items);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_committed_definition_is_what_the_code_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/catalog.yaml");
        assert!(
            std::fs::read_to_string(path).unwrap() == yaml().unwrap(),
            "crds/catalog.yaml is stale: run `make generate` and read the difference"
        );
    }

    /// Every schema of a field, with its path.
    fn fields(path: &str, schema: &Value, found: &mut Vec<(String, Value)>) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            fields(&path, property, found);
            found.push((path, property.clone()));
        }
        for inner in ["items", "additionalProperties"] {
            if schema[inner].is_object() {
                fields(&format!("{path}[]"), &schema[inner], found);
            }
        }
    }

    fn all_fields() -> Vec<(String, Value)> {
        let definition = serde_json::to_value(definition()).unwrap();
        let mut found = Vec::new();
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        for part in ["spec", "status"] {
            fields(part, &schema["properties"][part], &mut found);
        }
        found
    }

    #[test]
    fn every_field_says_what_it_is() {
        let silent: Vec<String> =
            all_fields().into_iter().filter(|(_, schema)| schema["description"].is_null()).map(|(path, _)| path).collect();
        assert!(silent.is_empty(), "{silent:?}");
    }

    #[test]
    fn numbers_are_signed_and_whole() {
        for (path, schema) in all_fields() {
            assert!(schema["type"] != "number", "{path}");
            assert!(matches!(schema["format"].as_str(), None | Some("int32" | "int64" | "date-time")), "{path}: {}", schema["format"]);
        }
    }

    #[test]
    fn rules_say_what_to_do() {
        for (path, schema) in all_fields() {
            for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
                assert!(rule["message"].as_str().is_some_and(|message| message.len() > 15), "{path}: {rule}");
            }
        }
    }
}
