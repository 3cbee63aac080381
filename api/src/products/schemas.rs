//! OpenAPI schemas of fields whose rules utoipa's attributes cannot express.

use catalog_values::product::MAX_ATTRIBUTES;
use serde_json::json;
use utoipa::openapi::{
    Array, ArrayBuilder, KnownFormat, Object, ObjectBuilder, SchemaFormat, Type, extensions::Extensions, schema::SchemaType,
};

use super::rules::{MAX_CATEGORIES, MAX_QUANTITY};
use crate::http::openapi::patterns::{LINE, TEXT};

/// `categories`: [`super::rules::categories`].
pub fn categories() -> Array {
    ArrayBuilder::new()
        .items(text().min_length(Some(1)).max_length(Some(100)).pattern(Some(LINE.as_str())))
        .max_items(Some(MAX_CATEGORIES))
        .unique_items(true)
        .description(Some("Categories, each at most once."))
        .build()
}

/// `categories` of a row of an import.
pub fn categories_of_row() -> Array {
    let description = "Categories, each at most once. They replace those of the product; those of rows with the same sku are combined. \
                       Null removes them.";
    categories_or_null(description)
}

/// `categories` of a patch.
pub fn categories_or_null(description: &str) -> Array {
    let mut categories = categories();
    categories.schema_type = SchemaType::from_iter([Type::Array, Type::Null]);
    categories.description = Some(description.into());
    categories
}

/// `attributes`: [`super::rules::attributes`].
pub fn attributes() -> Object {
    ObjectBuilder::new()
        .property_names(Some(text().min_length(Some(1)).max_length(Some(100)).pattern(Some(LINE.as_str()))))
        .additional_properties(Some(value(Type::String.into())))
        .max_properties(Some(MAX_ATTRIBUTES))
        .description(Some("Further attributes by name."))
        .build()
}

/// `attributes` of a patch. It can have more elements than a product, because it can remove some.
pub fn attributes_or_null() -> Object {
    let mut attributes = attributes();
    attributes.schema_type = SchemaType::from_iter([Type::Object, Type::Null]);
    attributes.additional_properties = Some(Box::new(value(SchemaType::from_iter([Type::String, Type::Null])).into()));
    attributes.max_properties = None;
    attributes.description = Some(
        "Further attributes by name, changed one by one. A null value removes one attribute; null for the whole field removes all.".into(),
    );
    attributes
}

/// `delta` of a stock adjustment: [`super::rules::delta`].
pub fn delta() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Integer, Type::Null]))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(-MAX_QUANTITY))
        .maximum(Some(MAX_QUANTITY))
        // utoipa's objects have no `not`, but its extensions can have any name.
        .extensions(Some(Extensions::from_iter([("not", json!({"const": 0}))])))
        .examples([-3])
        .description(Some("Units to add, or to remove if negative; not 0. Only for products whose stock is tracked."))
        .build()
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn value(schema_type: SchemaType) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(schema_type).max_length(Some(2000)).pattern(Some(TEXT))
}

#[cfg(test)]
mod tests {
    use catalog_values::product::MAX_SKU;
    use utoipa::PartialSchema;

    use crate::products::{ProductInput, import::RowDocument};

    // utoipa takes no constants.
    #[test]
    fn schemas_have_the_limit_of_skus() {
        for schema in [ProductInput::schema(), RowDocument::schema()] {
            let schema = serde_json::to_value(schema).unwrap();
            assert_eq!(schema["properties"]["sku"]["maxLength"], MAX_SKU, "{schema}");
        }
    }
}
