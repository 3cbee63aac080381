//! One row of an import: how it is written, and what it says once it is checked.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use chrono::NaiveDate;
use garde::Validate;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use utoipa::ToSchema;

use super::report::Fault;
use crate::{
    full_date,
    http::{body::pointer, validate::field_errors},
    products::{Money, Product, ProductInput, rules::Rules},
};

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
    #[schema(value_type = String, required, nullable = false, example = "90420332", min_length = 1, max_length = 64, pattern = r"^(?!\.{1,2}$)[^\s\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]+$")]
    pub sku: Option<String>,
    /// Display name.
    #[schema(value_type = String, required, nullable = false, example = "Bar table", min_length = 1, max_length = 200, pattern = r"^(?=.*\S)[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+$")]
    pub name: Option<String>,
    /// Brand.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100, pattern = r"^(?=.*\S)[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+$")]
    #[serde(default)]
    pub brand: Given<String>,
    /// Description, of any number of lines.
    #[schema(value_type = Option<String>, max_length = 10_000)]
    #[serde(default)]
    pub description: Given<String>,
    /// Categories, each once. They replace the product's; those of several rows of one sku are united.
    #[schema(value_type = Option<Vec<String>>, max_items = 50)]
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
    #[schema(value_type = Option<BTreeMap<String, Option<String>>>)]
    #[serde(default)]
    pub attributes: Given<BTreeMap<String, Option<String>>>,
    /// Units that can be sold now. Absent: stays as it is, and on a new product stock isn't tracked.
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    pub quantity: Option<i64>,
}

/// A price in a bulk import.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BulkPrice)]
pub struct RowPrice {
    /// At least 0, below 1,000,000,000, with at most the currency's decimals.
    #[schema(example = "19.90", pattern = r"^[0-9]{1,9}(\.[0-9]{1,4})?$")]
    pub amount: String,
    /// ISO 4217. Absent: the catalogue's.
    #[schema(example = "EUR", pattern = "^[A-Z]{3}$")]
    pub currency: Option<String>,
}

impl RowDocument {
    /// Reads a row written as JSON.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let error = match serde_json::from_str(text) {
            Ok(Object(document)) => return Ok(document),
            Err(error) => error,
        };
        // A second, slower reading finds out where; its errors don't speak of lines, which a row has none of.
        let Ok(value) = serde_json::from_str::<serde_json::Value>(text) else {
            return Err(Fault::of_row(format!("not valid JSON: {error}")));
        };
        match serde_path_to_error::deserialize::<_, Object<Self>>(&value) {
            Ok(_) => Err(Fault::of_row(error.to_string())),
            Err(error) => Err(Fault { pointer: pointer(error.path()), detail: error.into_inner().to_string() }),
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

/// A JSON object. Deserialize takes arrays for structs, too, which would make the order of fields part of the API.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields)).map(Object)
    }
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
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules { currency: "SAR".parse().unwrap() }
    }

    fn faults(text: &str) -> Vec<(String, String)> {
        let faults = match RowDocument::parse(text) {
            Ok(document) => document.check(&rules()).unwrap_err(),
            Err(fault) => vec![fault],
        };
        faults.into_iter().map(|fault| (fault.pointer, fault.detail)).collect()
    }

    #[test]
    fn every_fault_of_a_row_is_named_with_its_field() {
        assert_eq!(faults(r#"{"sku": "a", "price": {"amount": "1"}}"#), [("/name".into(), "name is missing".into())]);
        assert_eq!(
            faults(r#"{"sku": "a", "name": "A", "price": {"amount": "1"}, "released_on": "May 23", "brand": ""}"#),
            [
                ("/released_on".into(), "give a date such as 2024-05-23, not \"May 23\"".into()),
                ("/brand".into(), "give 1 to 100 characters on one line, some of them visible, and none that reorder text".into())
            ]
        );
        let (pointer, detail) = faults(r#"{"sku": "a", "price": {"amount": 1}}"#).remove(0);
        assert_eq!((pointer.as_str(), detail.as_str()), ("/price/amount", "invalid type: integer `1`, expected a string"));
        let (pointer, detail) = faults(r#"{"sku": "a", "colour": "red"}"#).remove(0);
        assert!(pointer.is_empty() || pointer == "/colour", "{pointer}");
        assert!(detail.starts_with("unknown field `colour`"), "{detail}");
        assert_eq!(faults(r#"["a", "A"]"#)[0].1, "invalid type: sequence, expected a JSON object");
        assert_eq!(
            faults(r#"{"sku": "a", "price": ["1"]}"#)[0],
            ("/price".into(), "invalid type: sequence, expected a JSON object".into())
        );
        assert_eq!(faults(r#"{"sku": "a", "price": null}"#)[0].0, "/price");
        assert!(faults(r#"{"sku": "a\u0000", "name": "A", "price": {"amount": "1"}}"#)[0].0 == "/sku");
        assert!(faults(r#"{"sku": "#)[0].1.starts_with("not valid JSON"));
        assert!(faults(r#"{"sku": "a", "sku": "b"}"#)[0].1.starts_with("duplicate field `sku`"));
    }

    #[test]
    fn a_missing_currency_is_the_catalogues_and_another_is_refused() {
        let row = RowDocument::parse(r#"{"sku": "a", "name": "A", "price": {"amount": "1"}}"#).unwrap().check(&rules()).unwrap();
        assert_eq!(row.price.currency, "SAR");
        assert_eq!(faults(r#"{"sku": "a", "name": "A", "price": {"amount": "1", "currency": "EUR"}}"#)[0].0, "/price/currency");
    }

    #[test]
    fn absent_stays_and_null_removes() {
        let before = r#"{"id": "00000000-0000-0000-0000-000000000000", "sku": "a", "name": "A", "brand": "B", "categories": ["x"],
            "price": {"amount": "1.00", "currency": "SAR"}, "url": "/a", "attributes": {"colour": "red", "size": "L"}, "in_stock": true,
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "version": 1}"#;
        let before: Product = serde_json::from_str(before).unwrap();
        let row = r#"{"sku": "a", "name": "A2", "price": {"amount": "2"}, "brand": null, "attributes": {"size": null, "weight": "1 kg"}}"#;
        let after = RowDocument::parse(row).unwrap().check(&rules()).unwrap().over(Some(&before));
        assert_eq!((after.brand, after.url, after.categories), (None, Some("/a".into()), vec!["x".into()]));
        assert_eq!(after.attributes.into_iter().collect::<Vec<_>>(), [("colour".into(), "red".into()), ("weight".into(), "1 kg".into())]);
    }

    #[test]
    fn what_is_staged_is_what_was_checked() {
        let row = r#"{"sku": "a", "name": "A", "price": {"amount": "2"}, "brand": null, "categories": [], "attributes": {"size": null}, "quantity": 0}"#;
        let row = RowDocument::parse(row).unwrap().check(&rules()).unwrap();
        assert_eq!(serde_json::from_str::<ImportRow>(&serde_json::to_string(&row).unwrap()).unwrap(), row);
    }
}
