//! Bodies with exactly one of several fields.

use std::{borrow::Cow, marker::PhantomData};

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{Object, ObjectBuilder, OneOfBuilder, RefOr, Schema, Type, schema::SchemaType},
};

/// A schema for the document only: a choice of objects, each of which has one of the optional fields of `T`. The others are null or
/// absent.
pub struct Either<T>(PhantomData<T>);

impl<T: ToSchema> PartialSchema for Either<T> {
    fn schema() -> RefOr<Schema> {
        let RefOr::T(Schema::Object(object)) = T::schema() else { return T::schema() };
        let optional: Vec<_> = object.properties.keys().filter(|name| !object.required.contains(name)).cloned().collect();
        let choices = optional.iter().map(|chosen| alternative::<T>(&object, &optional, chosen));
        let choice = choices.fold(OneOfBuilder::new().description(object.description.clone()), OneOfBuilder::item);
        RefOr::T(choice.build().into())
    }
}

fn alternative<T: ToSchema>(object: &Object, optional: &[String], chosen: &str) -> Object {
    let mut alternative = object.clone();
    alternative.description = None;
    // Client generators use the title as the name of the type.
    alternative.title = Some(format!("{}With{}", T::name(), pascal_case(chosen)));
    alternative.required.push(chosen.to_owned());
    for name in optional {
        let Some(property) = alternative.properties.get_mut(name) else { continue };
        if name == chosen {
            remove_null(property);
        } else {
            *property = ObjectBuilder::new().schema_type(Type::Null).into();
        }
    }
    alternative
}

fn remove_null(property: &mut RefOr<Schema>) {
    let schema_type = match property {
        RefOr::T(Schema::Object(object)) => &mut object.schema_type,
        RefOr::T(Schema::Array(array)) => &mut array.schema_type,
        _ => return,
    };
    if let SchemaType::Array(types) = schema_type {
        types.retain(|kind| *kind != Type::Null);
        if let [only] = types.as_slice() {
            *schema_type = only.clone().into();
        }
    }
}

fn pascal_case(name: &str) -> String {
    let words = name.split('_').filter_map(|word| word.split_at_checked(1));
    words.map(|(first, rest)| first.to_uppercase() + rest).collect()
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
    use serde_json::{Value, json};

    use super::*;

    #[derive(ToSchema)]
    #[allow(dead_code, reason = "only its schema matters")]
    struct Choice {
        one: Option<i64>,
        other_field: Option<Vec<i64>>,
        always: i64,
    }

    #[test]
    fn every_optional_field_is_an_alternative_in_which_the_others_are_null() {
        let schema: Value = serde_json::to_value(Either::<Choice>::schema()).unwrap();
        let [one, other] = schema["oneOf"].as_array().unwrap().as_slice() else { panic!("{schema}") };
        assert_eq!((&one["title"], &one["required"]), (&json!("ChoiceWithOne"), &json!(["always", "one"])));
        assert_eq!((&other["title"], &other["required"]), (&json!("ChoiceWithOtherField"), &json!(["always", "other_field"])));
        assert_eq!((&one["properties"]["one"]["type"], &one["properties"]["other_field"]["type"]), (&json!("integer"), &json!("null")));
        assert_eq!(other["properties"]["other_field"]["type"], "array");
        assert_eq!(Either::<Choice>::name(), "Choice");
    }
}
