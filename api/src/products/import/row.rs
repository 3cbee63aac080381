//! A row of an import: the document that was sent, and the valid row that is staged.

use std::{collections::BTreeMap, sync::LazyLock};

use catalog_rows::Fault;
use catalog_values::{find_duplicate_key, full_date, whole};
use chrono::NaiveDate;
use garde::Validate;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::IgnoredAny};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    http::{
        body::{DUPLICATE, Object, describe_error, structure::BodySchema},
        validate::field_errors,
    },
    products::{Money, Product, ProductInput, rules::Rules, schemas},
};

static SCHEMA: LazyLock<BodySchema> = LazyLock::new(BodySchema::of::<RowDocument>);

/// Change of a field: keep, remove or set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FieldUpdate<T> {
    /// Absent: keep the current value.
    #[default]
    Absent,
    /// Null: remove the value.
    Null,
    /// Set this value.
    Value(T),
}

impl<T> FieldUpdate<T> {
    fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Whether the field is present, as null or with a value.
    pub fn is_present(&self) -> bool {
        !self.is_absent()
    }

    /// Applies the change to the current value.
    pub fn apply_to(self, before: Option<T>) -> Option<T> {
        match self {
            Self::Absent => before,
            Self::Null => None,
            Self::Value(value) => Some(value),
        }
    }
}

impl<T> From<Option<T>> for FieldUpdate<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Self::Value)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for FieldUpdate<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(|value| value.map_or(Self::Null, Self::Value))
    }
}

impl<T: Serialize> Serialize for FieldUpdate<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => serializer.serialize_some(value),
            Self::Absent | Self::Null => serializer.serialize_none(),
        }
    }
}

/// One row of a bulk import: a new product, or a change of the product with this sku. Absent fields of an existing product
/// keep their value; null removes it. Attributes are changed one by one.
#[derive(Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ImportRow)]
pub struct RowDocument {
    /// Stock keeping unit. Identifies the product.
    #[schema(value_type = String, required, nullable = false, example = "90420332", min_length = 1, max_length = 64, pattern = "sku")]
    pub sku: Option<String>,
    /// Display name.
    #[schema(value_type = String, required, nullable = false, example = "Bar table", min_length = 1, max_length = 200, pattern = "line")]
    pub name: Option<String>,
    /// Brand.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100, pattern = "line")]
    #[serde(default)]
    pub brand: FieldUpdate<String>,
    /// Description, of any number of lines.
    #[schema(value_type = Option<String>, max_length = 10_000, pattern = "text")]
    #[serde(default)]
    pub description: FieldUpdate<String>,
    /// Categories.
    #[schema(schema_with = schemas::categories_of_row)]
    #[serde(default)]
    pub categories: FieldUpdate<Vec<String>>,
    /// Price.
    #[schema(value_type = RowPrice, required, nullable = false)]
    #[serde(default, deserialize_with = "price")]
    pub price: Option<RowPrice>,
    /// Link to more information: an absolute URL, or a path on the shop's own site.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 2048, format = "iri-reference", pattern = r"^[^\s\x00-\x1f\x7f-\x9f]+$")]
    #[serde(default)]
    pub url: FieldUpdate<String>,
    /// Release date.
    #[schema(value_type = Option<NaiveDate>, pattern = "^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}$")]
    #[serde(default)]
    pub released_on: FieldUpdate<String>,
    /// Further attributes by name; a null value removes an attribute.
    #[schema(schema_with = schemas::attributes_or_null)]
    #[serde(default)]
    pub attributes: FieldUpdate<BTreeMap<String, Option<String>>>,
    /// Units that can be sold now. If absent, the quantity stays as it is; stock of a new product is then not tracked.
    #[serde(default, deserialize_with = "whole::optional")]
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    pub quantity: Option<i64>,
}

/// Price in a bulk import.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ImportPrice)]
pub struct RowPrice {
    /// At least 0, below 1,000,000,000, with at most the decimals of the currency.
    #[schema(example = "19.90", max_length = 24, pattern = "amount")]
    pub amount: String,
    /// ISO 4217 code. Defaults to the currency of the catalogue.
    #[schema(example = "EUR", pattern = "^[A-Z]{3}$")]
    pub currency: Option<String>,
}

impl RowDocument {
    /// Parses a row written as JSON.
    ///
    /// # Errors
    /// All errors in its structure.
    pub fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        let error = match serde_json::from_str::<Object<Self>>(text) {
            // Only attributes can hide a duplicate key: structs reject theirs. The text is JSON, because it was deserialized.
            Ok(Object(document)) => {
                let key = if document.attributes.is_present() { find_duplicate_key(text).ok().flatten() } else { None };
                return key.map_or(Ok(document), |pointer| Err(vec![duplicate(pointer)]));
            }
            Err(error) => error,
        };
        if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
            return Err(vec![Fault::of_row(format!("not valid JSON: {error}"))]);
        }
        let duplicate = find_duplicate_key(text).ok().flatten().map(duplicate);
        // A JSON value cannot have a number such as 1e400.
        let errors = serde_json::from_str::<Value>(text).map(|value| SCHEMA.check(&value).errors).unwrap_or_default();
        let faults: Vec<_> = duplicate.into_iter().chain(errors.into_iter().map(Fault::from)).collect();
        if !faults.is_empty() {
            return Err(faults);
        }
        // Parses again, more slowly, to find the field.
        match serde_path_to_error::deserialize::<_, Object<Self>>(&mut serde_json::Deserializer::from_str(text)) {
            Ok(_) => Err(vec![Fault::of_row(error.to_string())]),
            Err(error) => {
                let (pointer, detail) = describe_error(&error);
                Err(vec![Fault { pointer, detail }])
            }
        }
    }

    /// Validates the row by the rules of the catalogue.
    ///
    /// # Errors
    /// All violated rules.
    pub fn check(self, rules: &Rules) -> Result<ValidRow, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut missing = |field: &str, absent: bool| {
            if absent {
                faults.push(Fault { pointer: format!("/{field}"), detail: format!("{field} is missing") });
            }
        };
        missing("sku", self.sku.is_none());
        missing("name", self.name.is_none());
        missing("price", self.price.is_none());
        let released_on = match self.released_on {
            FieldUpdate::Absent => FieldUpdate::Absent,
            FieldUpdate::Null => FieldUpdate::Null,
            FieldUpdate::Value(text) => full_date::parse(&text).map_or_else(
                || {
                    faults.push(Fault { pointer: "/released_on".into(), detail: full_date::validation_error(&text) });
                    FieldUpdate::Absent
                },
                FieldUpdate::Value,
            ),
        };
        let (Some(sku), Some(name), Some(price)) = (self.sku, self.name, self.price) else { return Err(faults) };
        let row = ValidRow {
            sku,
            name,
            brand: self.brand,
            description: self.description,
            categories: self.categories,
            price: Money { amount: price.amount, currency: price.currency.unwrap_or_else(|| rules.currency.code().to_owned()) },
            url: self.url,
            released_on,
            attributes: self.attributes,
            quantity: self.quantity,
        };
        if let Err(report) = row.clone().apply_to(None).validate_with(rules) {
            faults.extend(field_errors(report).into_iter().map(Fault::from));
        }
        if faults.is_empty() { Ok(row) } else { Err(faults) }
    }
}

fn duplicate(pointer: String) -> Fault {
    Fault { pointer, detail: DUPLICATE.into() }
}

fn price<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<RowPrice>, D::Error> {
    Object::deserialize(deserializer).map(|Object(price)| Some(price))
}

/// A valid row. It is staged in this form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidRow {
    /// As in [`RowDocument`].
    pub sku: String,
    /// As in [`RowDocument`].
    pub name: String,
    /// As in [`RowDocument`].
    #[serde(default, skip_serializing_if = "FieldUpdate::is_absent")]
    pub brand: FieldUpdate<String>,
    /// As in [`RowDocument`].
    #[serde(default, skip_serializing_if = "FieldUpdate::is_absent")]
    pub description: FieldUpdate<String>,
    /// As in [`RowDocument`].
    #[serde(default, skip_serializing_if = "FieldUpdate::is_absent")]
    pub categories: FieldUpdate<Vec<String>>,
    /// In the catalogue's currency.
    pub price: Money,
    /// As in [`RowDocument`].
    #[serde(default, skip_serializing_if = "FieldUpdate::is_absent")]
    pub url: FieldUpdate<String>,
    /// As in [`RowDocument`].
    #[serde(default, skip_serializing_if = "FieldUpdate::is_absent")]
    pub released_on: FieldUpdate<NaiveDate>,
    /// As in [`RowDocument`].
    #[serde(default, skip_serializing_if = "FieldUpdate::is_absent")]
    pub attributes: FieldUpdate<BTreeMap<String, Option<String>>>,
    /// As in [`RowDocument`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<i64>,
}

impl ValidRow {
    /// Applies the row to the existing product, or makes a new one.
    #[must_use]
    pub fn apply_to(self, before: Option<&Product>) -> ProductInput {
        ProductInput {
            sku: self.sku,
            name: self.name,
            brand: self.brand.apply_to(before.and_then(|before| before.brand.clone())),
            description: self.description.apply_to(before.and_then(|before| before.description.clone())),
            categories: self.categories.apply_to(before.map(|before| before.categories.clone())).unwrap_or_default(),
            price: self.price,
            url: self.url.apply_to(before.and_then(|before| before.url.clone())),
            released_on: self.released_on.apply_to(before.and_then(|before| before.released_on)),
            attributes: apply_attributes(self.attributes, before.map(|before| before.attributes.clone()).unwrap_or_default()),
            quantity: self.quantity,
        }
    }
}

fn apply_attributes(
    update: FieldUpdate<BTreeMap<String, Option<String>>>,
    mut attributes: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    match update {
        FieldUpdate::Absent => attributes,
        FieldUpdate::Null => BTreeMap::new(),
        FieldUpdate::Value(changes) => {
            for (name, value) in changes {
                match value {
                    Some(value) => attributes.insert(name, value),
                    None => attributes.remove(&name),
                };
            }
            attributes
        }
    }
}

#[cfg(test)]
mod tests;
