//! A product as it is given, kept and shown.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use garde::Validate;
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    rules::{self, Rules},
    schemas,
};
use crate::{
    config::Currency,
    full_date,
    http::body::{Object, whole},
    text,
};

/// An amount of money: a decimal string, never a float, in the catalogue's one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(context(Rules))]
pub struct Money {
    /// At least 0, below 1,000,000,000, with at most the currency's decimals.
    #[garde(custom(rules::price_amount))]
    #[schema(example = "19.90", max_length = 24, pattern = "amount")]
    pub amount: String,
    /// ISO 4217; the catalogue's one currency.
    #[garde(custom(rules::price_currency))]
    #[schema(example = "EUR", pattern = "^[A-Z]{3}$")]
    pub currency: String,
}

impl Money {
    /// Writes an amount with the currency's number of decimals.
    #[must_use]
    pub fn new(amount: Decimal, currency: Currency) -> Self {
        let mut amount = amount;
        amount.rescale(currency.decimals());
        Self { amount: amount.to_string(), currency: currency.code().to_owned() }
    }

    /// The amount, if it is one.
    #[must_use]
    pub fn decimal(&self) -> Option<Decimal> {
        rules::amount(&self.amount)
    }
}

/// A sum of money: like a price, and not bounded as one is.
// At most 100 lines of 1,000,000 units at a price of nine digits.
#[derive(ToSchema)]
#[allow(dead_code, reason = "documents Money where it is a sum")]
pub struct Sum {
    /// At least 0, below 100,000,000,000,000,000, with the currency's decimals.
    #[schema(example = "1990.00", pattern = r"^[0-9]{1,17}(\.[0-9]{1,4})?$")]
    amount: String,
    /// ISO 4217; the catalogue's one currency.
    #[schema(example = "EUR", pattern = "^[A-Z]{3}$")]
    currency: String,
}

/// [`Money`], but not as an array of its fields, which derived structs take as well.
fn money_object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Money, D::Error> {
    Object::deserialize(deserializer).map(|Object(money)| money)
}

/// What an admin says of a product: the body of a create, a bulk row, and what a merge patch is applied to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(context(Rules))]
pub struct ProductInput {
    /// Stock keeping unit, unique among products that aren't deleted: no spaces, control or invisible
    /// characters, and neither `.` nor `..`.
    #[serde(deserialize_with = "text::normalized")]
    #[garde(custom(rules::sku))]
    #[schema(example = "90420332", min_length = 1, max_length = 64, pattern = "sku")]
    pub sku: String,
    /// Display name: one line, without control characters and without those that reorder text (bidirectional
    /// embeddings, overrides and isolates). The joiners and marks of emoji and scripts are welcome.
    #[serde(deserialize_with = "text::normalized")]
    #[garde(custom(rules::line::<200>))]
    #[schema(example = "Bar table", min_length = 1, max_length = 200, pattern = "line")]
    pub name: String,
    /// Brand, with the rules of names.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text::normalized")]
    #[garde(inner(custom(rules::line::<100>)))]
    #[schema(min_length = 1, max_length = 100, pattern = "line")]
    pub brand: Option<String>,
    /// Description, of any number of lines.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text::normalized")]
    #[garde(inner(custom(rules::text::<10_000>)))]
    #[schema(max_length = 10_000, pattern = "text")]
    pub description: Option<String>,
    /// Categories, each once.
    #[serde(default, deserialize_with = "text::normalized")]
    #[garde(custom(rules::categories))]
    #[schema(schema_with = schemas::categories)]
    pub categories: Vec<String>,
    /// Price.
    #[serde(deserialize_with = "money_object")]
    #[garde(dive)]
    pub price: Money,
    /// A link to more: an absolute URL, or a path on the shop's own site. At most 2048 bytes, and not of a
    /// scheme that runs code (`javascript`, `data`, `vbscript`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(rules::url)))]
    #[schema(min_length = 1, max_length = 2048, format = "iri-reference", pattern = r"^[^\s\x00-\x1f\x7f-\x9f]+$")]
    pub url: Option<String>,
    /// Release date, from the year 1000 on.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "full_date::optional")]
    #[garde(inner(custom(rules::date)))]
    #[schema(pattern = "^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}$")]
    pub released_on: Option<NaiveDate>,
    /// Anything else: names and values.
    #[serde(default, deserialize_with = "text::normalized")]
    #[garde(custom(rules::attributes))]
    #[schema(schema_with = schemas::attributes)]
    pub attributes: BTreeMap<String, String>,
    /// Units in stock. Absent: stays as it is, and on a new product stock isn't tracked.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole::optional")]
    #[garde(inner(custom(rules::quantity)))]
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    pub quantity: Option<i64>,
}

/// A product as single reads show it. It carries neither `views` nor `quantity`, which change too
/// often to be part of what an `ETag` names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Product {
    /// Identifier (`UUIDv7`).
    pub id: Uuid,
    /// Stock keeping unit.
    #[schema(example = "90420332")]
    pub sku: String,
    /// Display name.
    pub name: String,
    /// Brand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// Description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Categories.
    pub categories: Vec<String>,
    /// Price.
    pub price: Money,
    /// A link to more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Release date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released_on: Option<NaiveDate>,
    /// Anything else.
    pub attributes: BTreeMap<String, String>,
    /// Whether it can be bought now; true where stock isn't tracked.
    pub in_stock: bool,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// Grows by one with every change.
    pub version: i64,
}

impl Product {
    /// The strong entity tag: it names the version and whether the product is in stock.
    #[must_use]
    pub fn etag(&self) -> String {
        format!("\"{}-{}\"", self.version, u8::from(self.in_stock))
    }

    /// The part an admin decides, without the stock.
    #[must_use]
    pub fn to_input(&self) -> ProductInput {
        ProductInput {
            sku: self.sku.clone(),
            name: self.name.clone(),
            brand: self.brand.clone(),
            description: self.description.clone(),
            categories: self.categories.clone(),
            price: self.price.clone(),
            url: self.url.clone(),
            released_on: self.released_on,
            attributes: self.attributes.clone(),
            quantity: None,
        }
    }
}
