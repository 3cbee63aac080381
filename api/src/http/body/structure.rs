//! Finds all errors in the structure of a body: fields that are missing, unknown or of the wrong type.
//!
//! Serde stops at the first error and describes Rust types. This check uses the schema of the body in the OpenAPI document, so it
//! needs no code per type. It runs only for bodies that could not be deserialized.

use catalog_values::{full_date, json_pointer::escape, whole};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::http::{ids, problem::FieldError};

/// Error detail for a field that the schema doesn't have.
pub const UNKNOWN_FIELD: &str = "unknown field; remove it or check its spelling";
/// Maximum number of characters of a wrong value in an error.
const MAX_QUOTED: usize = 32;
/// Maximum number of characters of a field name in an error. Pointers have the whole name.
const MAX_NAME: usize = 100;

/// The JSON schema of a body, with the schemas that it refers to.
pub struct BodySchema {
    root: Value,
    components: Map<String, Value>,
}

/// Result of [`BodySchema::check`].
#[derive(Debug, Default)]
pub struct Checked {
    /// Every error, with its JSON pointer.
    pub errors: Vec<FieldError>,
    /// The body with a valid value at each of [`Self::replaced`], and without unknown fields. For checking the rules of the
    /// other fields.
    pub repaired: Value,
    /// JSON pointers of the values that are missing or wrong.
    pub replaced: Vec<String>,
}

impl Checked {
    /// Adds an error, unless an error is reported for the same value, a part of it or a value that contains it.
    pub fn add(&mut self, error: FieldError) {
        let pointer = error.pointer.clone().unwrap_or_default();
        let known = |other: &FieldError| is_related(other.pointer.as_deref().unwrap_or_default(), &pointer);
        if !self.errors.iter().any(known) {
            self.errors.push(error);
            self.replaced.push(pointer);
        }
    }

    /// Whether the value is as the client sent it, so that errors of rules about it can be reported.
    #[must_use]
    pub fn is_as_sent(&self, pointer: &str) -> bool {
        !self.replaced.iter().any(|replaced| is_related(replaced, pointer))
    }
}

/// Whether two JSON pointers are equal, or one is a prefix of the other.
fn is_related(a: &str, b: &str) -> bool {
    let is_within = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    is_within(a, b) || is_within(b, a)
}

impl BodySchema {
    /// Creates the schema of `T`.
    #[must_use]
    pub fn of<T: ToSchema>() -> Self {
        let mut components = Vec::new();
        T::schemas(&mut components);
        let json = |schema| serde_json::to_value(schema).unwrap_or_default();
        Self { root: json(T::schema()), components: components.into_iter().map(|(name, schema)| (name, json(schema))).collect() }
    }

    /// Compares a body with the schema.
    #[must_use]
    pub fn check(&self, body: &Value) -> Checked {
        let mut checked = Checked::default();
        checked.repaired = self.compare(&self.root, body, &Location::default(), &mut checked);
        checked
    }

    /// Returns the smallest body with the structure of the schema. It may violate rules.
    #[must_use]
    pub fn placeholder(&self) -> Value {
        self.placeholder_of(&self.root)
    }

    /// Compares a value with its schema, and returns the value with its errors repaired.
    fn compare(&self, schema: &Value, value: &Value, at: &Location, checked: &mut Checked) -> Value {
        let schema = self.resolved(schema);
        match value {
            Value::Null if schema.allows("null") => Value::Null,
            Value::Object(fields) if schema.allows("object") => self.compare_fields(&schema, fields, at, checked),
            Value::Array(items) if schema.allows("array") => {
                let items = items.iter().enumerate();
                items.map(|(index, item)| self.compare(&schema.keywords["items"], item, &at.item(index), checked)).collect()
            }
            Value::String(text) if text.contains('\0') => self.replace(&schema, at, checked, "must not contain NUL characters"),
            Value::String(text) if schema.allows("string") && schema.allows_text(text) => value.clone(),
            Value::Number(_)
                if schema.allows("integer") && matches!(whole::parse_literal(&value.to_string()), whole::Literal::Whole(_)) =>
            {
                value.clone()
            }
            Value::Number(_) if schema.allows("number") => value.clone(),
            Value::Bool(_) if schema.allows("boolean") => value.clone(),
            _ if schema.types.is_empty() => value.clone(),
            _ => self.replace(&schema, at, checked, &format!("must be {}, not {}", schema.expected(), schema.described(value))),
        }
    }

    fn compare_fields(&self, schema: &Resolved<'_>, fields: &Map<String, Value>, at: &Location, checked: &mut Checked) -> Value {
        let known = schema.keywords["properties"].as_object();
        let mut repaired = Map::new();
        for (name, value) in fields {
            let here = at.field(name);
            let schema = known.and_then(|known| known.get(name)).unwrap_or(&schema.keywords["additionalProperties"]);
            if name.contains('\0') {
                checked.errors.push(FieldError::body(&here.pointer, "the name of a field must not contain NUL characters"));
            } else if *schema == Value::Bool(false) {
                checked.errors.push(FieldError::body(&here.pointer, UNKNOWN_FIELD));
            } else {
                repaired.insert(name.clone(), self.compare(schema, value, &here, checked));
            }
        }
        for name in schema.required() {
            if !fields.contains_key(name) {
                let property = self.resolved(&schema.keywords["properties"][name]);
                repaired.insert(name.to_owned(), self.replace(&property, &at.field(name), checked, "is required"));
            }
        }
        repaired.into()
    }

    fn replace(&self, schema: &Resolved<'_>, at: &Location, checked: &mut Checked, what: &str) -> Value {
        checked.errors.push(FieldError::body(&at.pointer, format!("{} {what}", at.name())));
        checked.replaced.push(at.pointer.clone());
        self.placeholder_of(schema.keywords)
    }

    fn placeholder_of(&self, schema: &Value) -> Value {
        let schema = self.resolved(schema);
        let keywords = schema.keywords;
        match schema.types.first().copied() {
            Some("string") => match keywords["format"].as_str() {
                _ if keywords["enum"].is_array() => keywords["enum"][0].clone(),
                Some("uuid") => json!(uuid::Uuid::nil()),
                Some("date") => json!("2000-01-01"),
                _ => json!(""),
            },
            Some("integer" | "number") => json!(0),
            Some("boolean") => json!(false),
            Some("array") => json!([]),
            Some("object") => schema.required().map(|name| (name.to_owned(), self.placeholder_of(&keywords["properties"][name]))).collect(),
            _ => Value::Null,
        }
    }

    /// Resolves references, and replaces a choice between `null` and a schema by that schema.
    fn resolved<'a>(&'a self, schema: &'a Value) -> Resolved<'a> {
        let is_null = |schema: &Value| schema["type"] == "null";
        let mut keywords = schema;
        let mut is_nullable = false;
        loop {
            let component = keywords["$ref"].as_str().and_then(|path| self.components.get(path.rsplit('/').next()?));
            let choice = keywords["oneOf"].as_array().filter(|choices| choices.iter().any(is_null));
            keywords = match (component, choice) {
                (Some(component), _) => component,
                (None, Some(choices)) => {
                    is_nullable = true;
                    choices.iter().find(|choice| !is_null(choice)).unwrap_or(&Value::Null)
                }
                (None, None) => break,
            };
        }
        let types: Vec<&str> = match &keywords["type"] {
            Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
            one => one.as_str().into_iter().collect(),
        };
        is_nullable |= types.contains(&"null");
        Resolved { keywords, types: types.into_iter().filter(|name| *name != "null").collect(), is_nullable }
    }
}

/// A schema that is not a reference.
struct Resolved<'a> {
    keywords: &'a Value,
    /// The allowed types without `null`.
    types: Vec<&'a str>,
    is_nullable: bool,
}

impl<'a> Resolved<'a> {
    fn allows(&self, name: &str) -> bool {
        self.types.contains(&name) || (name == "null" && self.is_nullable)
    }

    /// Whether the text can be deserialized. Other rules for texts are checked later.
    fn allows_text(&self, text: &str) -> bool {
        let listed = self.keywords["enum"].as_array().is_none_or(|values| values.iter().any(|value| value == text));
        listed
            && match self.keywords["format"].as_str() {
                Some("uuid") => ids::parse(text).is_some(),
                Some("date") => full_date::parse(text).is_some(),
                _ => true,
            }
    }

    fn required(&self) -> impl Iterator<Item = &'a str> {
        self.keywords["required"].as_array().into_iter().flatten().filter_map(Value::as_str)
    }

    fn expected(&self) -> String {
        let keywords = self.keywords;
        let expected = match self.types.first().copied() {
            Some("string") => match (&keywords["enum"], keywords["format"].as_str()) {
                (Value::Array(values), _) => {
                    format!("one of {}", values.iter().map(Value::to_string).collect::<Vec<_>>().join(", "))
                }
                (_, Some("uuid")) => "a UUID such as \"019aa3f0-0000-7000-8000-000000000000\"".to_owned(),
                (_, Some("date")) => "a date such as \"2024-05-23\"".to_owned(),
                _ => {
                    let kind = if keywords["pattern"] == "amount" { "a decimal string" } else { "a string" };
                    keywords["example"].as_str().map_or(kind.to_owned(), |example| format!("{kind} such as {example:?}"))
                }
            },
            Some("integer") => match (keywords["minimum"].as_i64(), keywords["maximum"].as_i64()) {
                (Some(minimum), Some(maximum)) => format!("a whole number from {minimum} to {maximum}"),
                _ => "a whole number".to_owned(),
            },
            Some("number") => "a number".to_owned(),
            Some("boolean") => "true or false".to_owned(),
            Some("array") => "an array".to_owned(),
            Some("object") => "a JSON object".to_owned(),
            _ => "null".to_owned(),
        };
        if self.is_nullable && !self.types.is_empty() { format!("{expected} or null") } else { expected }
    }

    /// Describes a wrong value: the value if its type is right, otherwise its type. It shows no secret, because every text is
    /// a valid secret.
    fn described(&self, value: &Value) -> String {
        match value {
            Value::Null => "null".to_owned(),
            Value::Number(number) if self.allows("integer") => number.to_string(),
            Value::String(text) if self.allows("string") => format!("{:?}", text.chars().take(MAX_QUOTED).collect::<String>()),
            Value::Bool(_) => "a boolean".to_owned(),
            Value::Number(_) => "a number".to_owned(),
            Value::String(_) => "a string".to_owned(),
            Value::Array(_) => "an array".to_owned(),
            Value::Object(_) => "an object".to_owned(),
        }
    }
}

/// The location of a value in the body.
#[derive(Default)]
struct Location {
    /// JSON pointer.
    pointer: String,
    /// Path in JavaScript notation, such as `items[0].quantity`.
    path: String,
}

impl Location {
    fn field(&self, name: &str) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        let short: String = name.chars().take(MAX_NAME).collect();
        Self { pointer: format!("{}/{}", self.pointer, escape(name)), path: format!("{}{dot}{short}", self.path) }
    }

    fn item(&self, index: usize) -> Self {
        Self { pointer: format!("{}/{index}", self.pointer), path: format!("{}[{index}]", self.path) }
    }

    fn name(&self) -> &str {
        if self.path.is_empty() { "the body" } else { &self.path }
    }
}

#[cfg(test)]
mod tests;
