//! What happened to products, as events tell it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::Product;
use crate::events::Actor;

/// `data` of `catalog.product.{created,updated,deleted,restored}.v1`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProductChange {
    /// The product after the change; of a deleted one, as it was last. Whether it is in stock is told by
    /// [`AVAILABILITY`], which may overtake this.
    pub product: Product,
    /// What changed. All fields of a created product, none of a deleted or restored one.
    pub changes: Vec<FieldChange>,
    /// The row's version after the change.
    pub version: i64,
    /// Who did it.
    pub actor: Actor,
    /// The import this belongs to, if any: its summary is mailed, not this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import_id: Option<Uuid>,
}

/// The kind of event that says a product came into stock or went out of it, within a version.
/// It is for caches: nobody is mailed.
pub const AVAILABILITY: &str = "product.availability";

/// `data` of `catalog.product.availability.v1`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AvailabilityChange {
    /// The row's version, which this doesn't change.
    pub version: i64,
    /// Whether it can be bought now.
    pub in_stock: bool,
}

/// One field, before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// Field name as in the API.
    pub field: String,
    /// Value before; null when there was none.
    pub old: Value,
    /// Value after; null when there is none.
    pub new: Value,
}

/// `data` of `catalog.product.imported.v1`: one bulk operation as a whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImportSummary {
    /// The import.
    pub import_id: Uuid,
    /// Products created.
    pub created: u64,
    /// Products changed.
    pub updated: u64,
    /// Products already as given.
    pub unchanged: u64,
    /// Rows refused.
    pub failed: u64,
    /// Who did it.
    pub actor: Actor,
}

/// The fields an admin decides, in the order of the API.
pub const FIELDS: [&str; 9] = ["sku", "name", "brand", "description", "categories", "price", "url", "released_on", "attributes"];

/// The fields in which `after` differs from `before`, in the order of the API.
#[must_use]
pub fn differences(before: Option<&Product>, after: &Product) -> Vec<FieldChange> {
    let fields = |product: &Product| serde_json::to_value(product.to_input()).unwrap_or_default();
    let old = before.map(fields).unwrap_or_default();
    let new = fields(after);
    FIELDS
        .into_iter()
        .map(|field| FieldChange {
            field: field.to_owned(),
            old: old.get(field).cloned().unwrap_or_default(),
            new: new.get(field).cloned().unwrap_or_default(),
        })
        .filter(|change| change.old != change.new)
        .collect()
}
