//! Bodies with exactly one of several fields.

use std::{borrow::Cow, marker::PhantomData};

use serde_json::json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema, extensions::Extensions},
};

/// For the document only: `T` with exactly one of its optional fields, which is not null.
pub struct Either<T>(PhantomData<T>);

impl<T: ToSchema> PartialSchema for Either<T> {
    fn schema() -> RefOr<Schema> {
        let mut schema = T::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            let optional = object.properties.keys().filter(|name| !object.required.contains(name));
            let alternatives: Vec<_> =
                optional.map(|name| json!({"required": [name], "properties": {name: {"not": {"type": "null"}}}})).collect();
            // utoipa's objects have no `oneOf`, and its extensions may have any name.
            object.extensions = Some(Extensions::from_iter([("oneOf", alternatives)]));
        }
        schema
    }
}

impl<T: ToSchema> ToSchema for Either<T> {
    fn name() -> Cow<'static, str> {
        T::name()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        T::schemas(schemas);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[derive(ToSchema)]
    #[allow(dead_code, reason = "only its schema matters")]
    struct Choice {
        one: Option<i64>,
        other: Option<i64>,
        always: i64,
    }

    #[test]
    fn every_optional_field_is_an_alternative() {
        let schema: Value = serde_json::to_value(Either::<Choice>::schema()).unwrap();
        let ways: Vec<_> = schema["oneOf"].as_array().unwrap().iter().map(|way| &way["required"][0]).collect();
        assert_eq!(ways, ["one", "other"]);
        assert_eq!(schema["required"], json!(["always"]));
        assert_eq!(Either::<Choice>::name(), "Choice");
    }
}
