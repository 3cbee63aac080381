//! The custom resource definition, as the API server gets it.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;

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
    if let Some(k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaPropsOrArray::Schema(items)) =
        &mut schema.items
    {
        drop_nulls(items);
    }
}
