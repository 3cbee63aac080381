//! Payloads of product events.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::Product;
use crate::events::{Actor, EventData};

/// `data` of `catalog.product.{created,updated,deleted,restored}.v1`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProductChange {
    /// Product after the change, or the last state of a deleted one. `in_stock` can be outdated: [`AVAILABILITY`] events have
    /// the current value.
    pub product: Product,
    /// Changed fields: all fields of a created product, none of a deleted or restored one.
    pub changes: Vec<FieldChange>,
    /// Version of the product after the change.
    pub version: i64,
    /// Account that made the change.
    pub actor: Actor,
    /// Import that made the change. Then only the summary of the import is mailed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import_id: Option<Uuid>,
}

impl EventData for ProductChange {
    fn version(&self) -> Option<i64> {
        Some(self.version)
    }
}

/// Event kind of a product that came into or went out of stock, without a new version. It invalidates caches and sends no
/// mail.
pub const AVAILABILITY: &str = "product.availability";

/// `data` of `catalog.product.availability.v1`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AvailabilityData {
    /// Version of the product, which stays the same.
    pub version: i64,
    /// Whether it can be bought now.
    pub in_stock: bool,
}

impl EventData for AvailabilityData {
    fn version(&self) -> Option<i64> {
        Some(self.version)
    }
}

/// A changed field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// Field name, as in the API.
    pub field: String,
    /// Value before; null if there was none.
    pub old: Value,
    /// Value after; null if there is none.
    pub new: Value,
}

/// `data` of `catalog.product.imported.v1`: the summary of an import.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImportSummary {
    /// Import id.
    pub import_id: Uuid,
    /// Products created.
    pub created: u64,
    /// Products changed.
    pub updated: u64,
    /// Products that already had the imported values.
    pub unchanged: u64,
    /// Rejected rows.
    pub failed: u64,
    /// Account that made the import.
    pub actor: Actor,
}

impl EventData for ImportSummary {}

/// Fields that admins can set, in the order of the API.
pub const FIELDS: [&str; 9] = ["sku", "name", "brand", "description", "categories", "price", "url", "released_on", "attributes"];

/// Fields in which `after` differs from `before`, in the order of the API.
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
