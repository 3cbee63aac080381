//! In the document only: fields with rules for what is in them, which utoipa's attributes cannot say.

use serde_json::json;
use utoipa::openapi::{
    Array, ArrayBuilder, KnownFormat, Object, ObjectBuilder, SchemaFormat, Type, extensions::Extensions, schema::SchemaType,
};

use super::rules::{MAX_ATTRIBUTES, MAX_CATEGORIES, MAX_QUANTITY};
use crate::http::openapi::patterns::{LINE, TEXT};

/// `categories`: [`super::rules::categories`].
pub fn categories() -> Array {
    ArrayBuilder::new()
        .items(text().min_length(Some(1)).max_length(Some(100)).pattern(Some(LINE.as_str())))
        .max_items(Some(MAX_CATEGORIES))
        .unique_items(true)
        .description(Some("Categories, each once."))
        .build()
}

/// `categories` of a row of an import.
pub fn categories_of_row() -> Array {
    let description = "Categories, each once. They replace the product's; those of several rows of one sku are united. Null removes them.";
    categories_or_null(description)
}

/// `categories` of a change.
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
        .description(Some("Anything else: names and values."))
        .build()
}

/// `attributes` of a change, which may name more of them than there can be: those that it removes.
pub fn attributes_or_null() -> Object {
    let mut attributes = attributes();
    attributes.schema_type = SchemaType::from_iter([Type::Object, Type::Null]);
    attributes.additional_properties = Some(Box::new(value(SchemaType::from_iter([Type::String, Type::Null])).into()));
    attributes.max_properties = None;
    attributes.description =
        Some("Anything else: names and values, taken one by one; a null value removes that attribute, null all of them.".into());
    attributes
}

/// `delta` of a stock adjustment: [`super::rules::delta`].
pub fn delta() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Integer, Type::Null]))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(-MAX_QUANTITY))
        .maximum(Some(MAX_QUANTITY))
        // utoipa's objects have no `not`, and its extensions may have any name.
        .extensions(Some(Extensions::from_iter([("not", json!({"const": 0}))])))
        .examples([-3])
        .description(Some("Units that came, or went if negative; not 0. For products whose stock is tracked."))
        .build()
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn value(schema_type: SchemaType) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(schema_type).max_length(Some(2000)).pattern(Some(TEXT))
}
