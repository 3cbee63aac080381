//! The `CustomResourceDefinition` of `Catalog`.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use schemars::Schema;

use super::Catalog;

/// Returns the `CustomResourceDefinition`.
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

/// Returns the `CustomResourceDefinition` as YAML, the content of `crds/catalog.yaml`.
///
/// # Errors
/// If it cannot be serialised.
pub fn yaml() -> Result<String, serde_norway::Error> {
    serde_norway::to_string(&definition())
}

/// Removes the default from the schema of a field that a CEL rule requires. With `required` instead of a rule, the API server would
/// only report `Required value`.
pub(super) fn without_default(schema: &mut Schema) {
    schema.remove("default");
}

/// Removes `nullable` everywhere. The API server then drops fields that are null, and `has(...)` in rules is false for them.
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
    fn the_committed_definition_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/catalog.yaml");
        assert!(
            std::fs::read_to_string(path).unwrap() == yaml().unwrap(),
            "crds/catalog.yaml is stale: run `make generate` and read the difference"
        );
    }

    /// Adds the path and the schema of every field to `found`.
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
    fn every_field_has_a_description() {
        let undescribed: Vec<String> =
            all_fields().into_iter().filter(|(_, schema)| schema["description"].is_null()).map(|(path, _)| path).collect();
        assert!(undescribed.is_empty(), "{undescribed:?}");
    }

    #[test]
    fn numbers_are_signed_integers() {
        for (path, schema) in all_fields() {
            assert!(schema["type"] != "number", "{path}");
            assert!(matches!(schema["format"].as_str(), None | Some("int32" | "int64" | "date-time")), "{path}: {}", schema["format"]);
        }
    }

    #[test]
    fn every_rule_has_a_message() {
        for (path, schema) in all_fields() {
            for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
                assert!(rule["message"].as_str().is_some_and(|message| message.len() > 15), "{path}: {rule}");
            }
        }
    }
}
