//! Handler that changes products.

use std::sync::Arc;

use axum::{extract::State, http::HeaderMap, response::Response};
use garde::Validate;
use serde_json::Value;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema, Type},
};

use super::with_etag;
use crate::{
    http::{
        body::{MAX_PRODUCT_BODY, MergePatch, structure::BodySchema},
        clock,
        context::RequestContext,
        etag::is_precondition_met,
        path::Id,
        problem::Problem,
        validate::field_errors,
    },
    identity::principal::Admin,
    products::{Catalogue, Money, Product, ProductInput, rules::Rules, schemas},
};

/// Schema of a merge patch of [`ProductInput`]: no field is required, and optional ones can be null.
struct ProductPatch;

impl PartialSchema for ProductPatch {
    fn schema() -> RefOr<Schema> {
        let mut schema = any_part_of(ProductInput::schema(), "Changes of a product");
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            let fields = &mut object.properties;
            fields.insert("price".into(), any_part_of(Money::schema(), "Price. The amount alone is sufficient."));
            fields.insert(
                "categories".into(),
                schemas::categories_or_null("Categories, each at most once. They replace those of the product; null removes them.").into(),
            );
            fields.insert("attributes".into(), schemas::attributes_or_null().into());
            // Tracked stock cannot become untracked, so the quantity is not nullable.
            if let Some(RefOr::T(Schema::Object(quantity))) = fields.get_mut("quantity") {
                quantity.schema_type = Type::Integer.into();
            }
        }
        schema
    }
}

fn any_part_of(mut schema: RefOr<Schema>, description: &str) -> RefOr<Schema> {
    if let RefOr::T(Schema::Object(object)) = &mut schema {
        object.required.clear();
        object.description = Some(description.into());
    }
    schema
}

impl ToSchema for ProductPatch {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        ProductInput::schemas(schemas);
    }
}

/// Change a product
///
/// A JSON merge patch (RFC 7396): absent fields keep their value, null removes it. A patch without changes makes no new
/// version and sends no mail; nor does a patch of `quantity` only, which is a stock adjustment.
#[utoipa::path(patch, path = "/v1/products/{id}", tag = "products",
    params(("id" = Uuid, Path, description = "Product id"), ("If-Match" = Option<String>, Header, nullable = false, pattern = "entity-tags", description = "Change it only if it still has this entity tag"), ("If-None-Match" = Option<String>, Header, nullable = false, description = "Change it only if it doesn't have this entity tag")),
    request_body(content = ProductPatch, content_type = "application/merge-patch+json", description = "Any part of a product"),
    responses(
        (status = 200, body = Product, headers(("ETag" = String))),
        (status = 409, description = "The sku is taken"),
    ), security(("bearer" = ["admin"])))]
pub async fn patch_product(
    State(catalogue): State<Arc<Catalogue>>,
    admin: Admin,
    context: RequestContext,
    Id(id): Id,
    headers: HeaderMap,
    MergePatch(patch): MergePatch<MAX_PRODUCT_BODY>,
) -> Result<Response, Problem> {
    check(&patch, &catalogue.rules())?;
    let mut work = catalogue.begin(admin.origin(&context), clock::now()).await?;
    let product = catalogue.patch(&mut work, id, &patch, |etag| is_precondition_met(&headers, etag)).await?;
    work.commit().await?;
    Ok(with_etag(&product))
}

/// All errors of a patch whose structure is wrong. The rules of any other patch are those of the product that it makes.
fn check(patch: &Value, rules: &Rules) -> Result<(), Problem> {
    let mut checked = BodySchema::of::<ProductPatch>().check(patch);
    if checked.errors.is_empty() {
        return Ok(());
    }
    let mut product = BodySchema::of::<ProductInput>().placeholder();
    json_patch::merge(&mut product, &checked.repaired);
    if let Ok(product) = serde_json::from_value::<ProductInput>(product)
        && let Err(report) = product.validate_with(rules)
    {
        let is_sent = |pointer: &str| checked.repaired.pointer(pointer).is_some() && checked.is_as_sent(pointer);
        let errors: Vec<_> = field_errors(report).into_iter().filter(|error| error.pointer.as_deref().is_some_and(is_sent)).collect();
        checked.errors.extend(errors);
    }
    Err(Problem::invalid_body(checked.errors))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_schema_of_a_patch_matches_what_is_accepted() {
        let [patch, input] = [ProductPatch::schema(), ProductInput::schema()].map(|schema| serde_json::to_value(schema).unwrap());
        assert_eq!(patch["required"], Value::Null);
        assert_eq!(patch["properties"]["price"]["required"], Value::Null);
        assert_eq!(patch["properties"]["attributes"]["additionalProperties"]["type"], json!(["string", "null"]));
        let kinds = |schema: &Value, field: &str| schema["properties"][field]["type"].to_string();
        for field in ["brand", "description", "url", "released_on", "categories", "attributes"] {
            assert!(kinds(&patch, field).contains("null"), "{field} can be removed");
        }
        for field in ["sku", "name", "quantity"] {
            assert!(!kinds(&patch, field).contains("null"), "{field} cannot be removed");
        }
        let names = |schema: &Value| schema["properties"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&patch), names(&input));
    }
}
