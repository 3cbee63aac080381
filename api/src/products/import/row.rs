//! One row of an import: how it is written, and what it says once it is checked.

use std::{collections::BTreeMap, sync::LazyLock};

use chrono::NaiveDate;
use garde::Validate;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::IgnoredAny};
use serde_json::Value;
use utoipa::ToSchema;

use super::report::Fault;
use crate::{
    full_date,
    http::{
        body::{DUPLICATE, Object, describe_error, find_duplicate_key, structure::BodySchema, whole},
        validate::field_errors,
    },
    products::{Money, Product, ProductInput, rules::Rules, schemas},
};

static SCHEMA: LazyLock<BodySchema> = LazyLock::new(BodySchema::of::<RowDocument>);

/// A field that may stay as it is, be removed or be set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Given<T> {
    /// Not given: stays as it is.
    #[default]
    Absent,
    /// Given as null: is removed.
    Null,
    /// Given.
    Value(T),
}

impl<T> Given<T> {
    fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Whether anything is said of the field.
    pub fn is_given(&self) -> bool {
        !self.is_absent()
    }

    /// What the field is from now on, given what it was.
    pub fn over(self, before: Option<T>) -> Option<T> {
        match self {
            Self::Absent => before,
            Self::Null => None,
            Self::Value(value) => Some(value),
        }
    }
}

impl<T> From<Option<T>> for Given<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Self::Value)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(|value| value.map_or(Self::Null, Self::Value))
    }
}

impl<T: Serialize> Serialize for Given<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => serializer.serialize_some(value),
            Self::Absent | Self::Null => serializer.serialize_none(),
        }
    }
}

/// One row of a bulk import: a whole product, or a change of the product with this sku. Fields that
/// aren't given stay as they are on a product that exists; null removes. Attributes are taken one by one.
#[derive(Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BulkItem)]
pub struct RowDocument {
    /// Stock keeping unit: which product this is about.
    #[schema(value_type = String, required, nullable = false, example = "90420332", min_length = 1, max_length = 64, pattern = "sku")]
    pub sku: Option<String>,
    /// Display name.
    #[schema(value_type = String, required, nullable = false, example = "Bar table", min_length = 1, max_length = 200, pattern = "line")]
    pub name: Option<String>,
    /// Brand.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100, pattern = "line")]
    #[serde(default)]
    pub brand: Given<String>,
    /// Description, of any number of lines.
    #[schema(value_type = Option<String>, max_length = 10_000, pattern = "text")]
    #[serde(default)]
    pub description: Given<String>,
    /// Categories.
    #[schema(schema_with = schemas::categories_of_row)]
    #[serde(default)]
    pub categories: Given<Vec<String>>,
    /// Price.
    #[schema(value_type = RowPrice, required, nullable = false)]
    #[serde(default, deserialize_with = "price")]
    pub price: Option<RowPrice>,
    /// A link to more: an absolute URL, or a path on the shop's own site.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 2048, format = "iri-reference", pattern = r"^[^\s\x00-\x1f\x7f-\x9f]+$")]
    #[serde(default)]
    pub url: Given<String>,
    /// Release date.
    #[schema(value_type = Option<NaiveDate>, pattern = "^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}$")]
    #[serde(default)]
    pub released_on: Given<String>,
    /// Anything else: names and values; a null value removes that attribute.
    #[schema(schema_with = schemas::attributes_or_null)]
    #[serde(default)]
    pub attributes: Given<BTreeMap<String, Option<String>>>,
    /// Units that can be sold now. Absent: stays as it is, and on a new product stock isn't tracked.
    #[serde(default, deserialize_with = "whole::optional")]
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    pub quantity: Option<i64>,
}

/// A price in a bulk import.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BulkPrice)]
pub struct RowPrice {
    /// At least 0, below 1,000,000,000, with at most the currency's decimals.
    #[schema(example = "19.90", max_length = 24, pattern = "amount")]
    pub amount: String,
    /// ISO 4217. Absent: the catalogue's.
    #[schema(example = "EUR", pattern = "^[A-Z]{3}$")]
    pub currency: Option<String>,
}

impl RowDocument {
    /// Reads a row written as JSON.
    ///
    /// # Errors
    /// All errors in its structure.
    pub fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        let error = match serde_json::from_str::<Object<Self>>(text) {
            // Only attributes can hide a duplicate key: structs reject theirs. The text is JSON, because it was deserialized.
            Ok(Object(document)) => {
                let key = if document.attributes.is_given() { find_duplicate_key(text).ok().flatten() } else { None };
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
        // A second, slower reading finds out where.
        match serde_path_to_error::deserialize::<_, Object<Self>>(&mut serde_json::Deserializer::from_str(text)) {
            Ok(_) => Err(vec![Fault::of_row(error.to_string())]),
            Err(error) => {
                let (pointer, detail) = describe_error(&error);
                Err(vec![Fault { pointer, detail }])
            }
        }
    }

    /// The row, if it keeps the rules of the catalogue.
    ///
    /// # Errors
    /// Every rule it breaks.
    pub fn check(self, rules: &Rules) -> Result<ImportRow, Vec<Fault>> {
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
            Given::Absent => Given::Absent,
            Given::Null => Given::Null,
            Given::Value(text) => full_date::parse(&text).map_or_else(
                || {
                    faults.push(Fault { pointer: "/released_on".into(), detail: full_date::refusal(&text) });
                    Given::Absent
                },
                Given::Value,
            ),
        };
        let (Some(sku), Some(name), Some(price)) = (self.sku, self.name, self.price) else { return Err(faults) };
        let row = ImportRow {
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
        if let Err(report) = row.clone().over(None).validate_with(rules) {
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

/// A row that keeps the rules, as it is staged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportRow {
    /// As in [`RowDocument`].
    pub sku: String,
    /// As in [`RowDocument`].
    pub name: String,
    /// As in [`RowDocument`].
    #[serde(default, skip_serializing_if = "Given::is_absent")]
    pub brand: Given<String>,
    /// As in [`RowDocument`].
    #[serde(default, skip_serializing_if = "Given::is_absent")]
    pub description: Given<String>,
    /// As in [`RowDocument`].
    #[serde(default, skip_serializing_if = "Given::is_absent")]
    pub categories: Given<Vec<String>>,
    /// In the catalogue's currency.
    pub price: Money,
    /// As in [`RowDocument`].
    #[serde(default, skip_serializing_if = "Given::is_absent")]
    pub url: Given<String>,
    /// As in [`RowDocument`].
    #[serde(default, skip_serializing_if = "Given::is_absent")]
    pub released_on: Given<NaiveDate>,
    /// As in [`RowDocument`].
    #[serde(default, skip_serializing_if = "Given::is_absent")]
    pub attributes: Given<BTreeMap<String, Option<String>>>,
    /// As in [`RowDocument`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<i64>,
}

impl ImportRow {
    /// The product this row makes of `before`, or a new one.
    #[must_use]
    pub fn over(self, before: Option<&Product>) -> ProductInput {
        ProductInput {
            sku: self.sku,
            name: self.name,
            brand: self.brand.over(before.and_then(|before| before.brand.clone())),
            description: self.description.over(before.and_then(|before| before.description.clone())),
            categories: self.categories.over(before.map(|before| before.categories.clone())).unwrap_or_default(),
            price: self.price,
            url: self.url.over(before.and_then(|before| before.url.clone())),
            released_on: self.released_on.over(before.and_then(|before| before.released_on)),
            attributes: attributes_over(self.attributes, before.map(|before| before.attributes.clone()).unwrap_or_default()),
            quantity: self.quantity,
        }
    }
}

fn attributes_over(given: Given<BTreeMap<String, Option<String>>>, mut attributes: BTreeMap<String, String>) -> BTreeMap<String, String> {
    match given {
        Given::Absent => attributes,
        Given::Null => BTreeMap::new(),
        Given::Value(changes) => {
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
