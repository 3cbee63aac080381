//! Products as inputs and as the API returns them.

use std::collections::BTreeMap;

use catalog_values::{Currency, full_date, text, whole};
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
use crate::http::body::Object;

/// An amount of money in the currency of the catalogue. The amount is a decimal string, never a float.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(context(Rules))]
pub struct Money {
    /// At least 0, below 1,000,000,000, with at most the decimals of the currency.
    #[garde(custom(rules::price_amount))]
    #[schema(example = "19.90", max_length = 24, pattern = "amount")]
    pub amount: String,
    /// ISO 4217 code of the currency of the catalogue.
    #[garde(custom(rules::price_currency))]
    #[schema(example = "EUR", pattern = "^[A-Z]{3}$")]
    pub currency: String,
}

impl Money {
    /// Formats an amount with the number of decimals of the currency.
    #[must_use]
    pub fn new(amount: Decimal, currency: Currency) -> Self {
        let mut amount = amount;
        amount.rescale(currency.decimals());
        Self { amount: amount.to_string(), currency: currency.code().to_owned() }
    }

    /// The amount as a decimal; `None` if it is not one.
    #[must_use]
    pub fn decimal(&self) -> Option<Decimal> {
        rules::amount(&self.amount)
    }
}

/// A sum of amounts. It has a higher limit than a price.
// At most 100 lines of 1,000,000 units at a price of nine digits.
#[derive(ToSchema)]
#[allow(dead_code, reason = "schema of Money as a sum")]
pub struct TotalAmount {
    /// At least 0, below 100,000,000,000,000,000, with the decimals of the currency.
    #[schema(example = "1990.00", pattern = r"^[0-9]{1,17}(\.[0-9]{1,4})?$")]
    amount: String,
    /// ISO 4217 code of the currency of the catalogue.
    #[schema(example = "EUR", pattern = "^[A-Z]{3}$")]
    currency: String,
}

/// Reads [`Money`] from an object only. The derived implementation would also accept an array of its fields.
fn money_object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Money, D::Error> {
    Object::deserialize(deserializer).map(|Object(money)| money)
}

/// The fields of a product that an admin sets: body of a create request, and target of merge patches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(context(Rules))]
pub struct ProductInput {
    /// Stock keeping unit, unique among products that are not deleted. Without spaces, control or invisible characters, and
    /// neither `.` nor `..`.
    #[serde(deserialize_with = "text::normalized")]
    #[garde(custom(rules::sku))]
    #[schema(example = "90420332", min_length = 1, max_length = 64, pattern = "sku")]
    pub sku: String,
    /// Display name: one line, without control characters and without characters that reorder text (bidirectional embeddings,
    /// overrides and isolates). Joiners and marks of emoji and scripts are allowed.
    #[serde(deserialize_with = "text::normalized")]
    #[garde(custom(rules::line::<200>))]
    #[schema(example = "Bar table", min_length = 1, max_length = 200, pattern = "line")]
    pub name: String,
    /// Brand, with the same rules as the name.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text::normalized")]
    #[garde(inner(custom(rules::line::<100>)))]
    #[schema(min_length = 1, max_length = 100, pattern = "line")]
    pub brand: Option<String>,
    /// Description, of any number of lines.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text::normalized")]
    #[garde(inner(custom(rules::text::<10_000>)))]
    #[schema(max_length = 10_000, pattern = "text")]
    pub description: Option<String>,
    /// Categories, each at most once.
    #[serde(default, deserialize_with = "text::normalized")]
    #[garde(custom(rules::categories))]
    #[schema(schema_with = schemas::categories)]
    pub categories: Vec<String>,
    /// Price.
    #[serde(deserialize_with = "money_object")]
    #[garde(dive)]
    pub price: Money,
    /// Link to more information: an absolute URL, or a path on the shop's own site. At most 2048 bytes, and not of a scheme that
    /// runs code (`javascript`, `data`, `vbscript`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(rules::url)))]
    #[schema(min_length = 1, max_length = 2048, format = "iri-reference", pattern = r"^[^\s\x00-\x1f\x7f-\x9f]+$")]
    pub url: Option<String>,
    /// Release date, from the year 1000 on.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "full_date::optional")]
    #[garde(inner(custom(rules::date)))]
    #[schema(pattern = "^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}$")]
    pub released_on: Option<NaiveDate>,
    /// Further attributes by name.
    #[serde(default, deserialize_with = "text::normalized")]
    #[garde(custom(rules::attributes))]
    #[schema(schema_with = schemas::attributes)]
    pub attributes: BTreeMap<String, String>,
    /// Units that can be sold now. If absent, the quantity stays as it is; stock of a new product is then not tracked.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole::optional")]
    #[garde(inner(custom(rules::quantity)))]
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    pub quantity: Option<i64>,
}

/// A product. It has neither `views` nor `quantity`, because they change too often to be covered by its `ETag`; read them
/// from their own resources.
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
    /// Further attributes by name.
    pub attributes: BTreeMap<String, String>,
    /// Whether it can be bought now; true if stock isn't tracked.
    pub in_stock: bool,
    /// Time of its creation.
    pub created_at: DateTime<Utc>,
    /// Time of its last change.
    pub updated_at: DateTime<Utc>,
    /// Grows by one with every change.
    pub version: i64,
}

impl Product {
    /// Strong entity tag: the version and the availability.
    #[must_use]
    pub fn etag(&self) -> String {
        format!("\"{}-{}\"", self.version, u8::from(self.in_stock))
    }

    /// The fields that an admin sets, without the quantity.
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
