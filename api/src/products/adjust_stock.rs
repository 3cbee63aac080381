//! Stock adjustments by admins.

use std::collections::HashMap;

use catalog_values::{text, whole};
use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Catalogue, Error,
    rules::{self, Rules},
    schemas,
    stock::{
        AvailabilityChange, Cause, DeltaOutcome, MovementKind, StockCount, StockDelta, append_availability_events, apply_deltas,
        set_quantities,
    },
    store,
};
use crate::events::UnitOfWork;

/// A change of stock: give either `delta` or `quantity`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(context(Rules))]
pub struct StockAdjustment {
    /// Units to add, or to remove if negative; not 0. Only for products whose stock is tracked.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole::optional")]
    #[garde(inner(custom(rules::delta)), custom(either(self.quantity)))]
    #[schema(schema_with = schemas::delta)]
    pub delta: Option<i64>,
    /// Units that can be sold now, without the reserved ones. Starts tracking the stock of a product if it wasn't tracked.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole::optional")]
    #[garde(inner(custom(rules::quantity)))]
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    pub quantity: Option<i64>,
    /// Reason, for the ledger.
    #[serde(deserialize_with = "text::normalized")]
    #[garde(custom(rules::line::<200>))]
    #[schema(example = "three broken in the warehouse", min_length = 1, max_length = 200, pattern = "line")]
    pub reason: String,
}

fn either(quantity: Option<i64>) -> impl FnOnce(&Option<i64>, &Rules) -> garde::Result {
    move |delta, _| {
        if delta.is_some() == quantity.is_some() {
            return Err(garde::Error::new("give either delta, the units to add or remove, or quantity, the units that can be sold now"));
        }
        Ok(())
    }
}

/// Stock of a product, as admins see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct StockLevel {
    /// Product id.
    pub product_id: Uuid,
    /// Units that the shop has.
    pub on_hand: i64,
    /// Units on hand that carts hold.
    pub reserved: i64,
    /// Units that can be sold now: `on_hand` less `reserved`.
    pub quantity: i64,
    /// Time of the reading.
    pub as_of: DateTime<Utc>,
}

impl Catalogue {
    /// Adjusts the stock of a product that isn't deleted.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Invalid`], [`Error::StockNotTracked`], [`Error::NotEnoughStock`] or [`Error::TooMuchStock`].
    pub async fn adjust_stock(&self, work: &mut UnitOfWork, id: Uuid, adjustment: &StockAdjustment) -> Result<StockLevel, Error> {
        adjustment.validate_with(&self.rules()).map_err(Error::Invalid)?;
        store::lock_product(work, id).await?.filter(|locked| !locked.deleted).ok_or(Error::NotFound)?;
        let kind = if adjustment.quantity.is_some() { MovementKind::Count } else { MovementKind::Adjustment };
        let cause = Cause { reason: Some(&adjustment.reason), ..Cause::of(work, kind) };
        let changes = match (adjustment.quantity, adjustment.delta) {
            (Some(quantity), _) => {
                let counted = set_quantities(work, &cause, &HashMap::from([(id, quantity)])).await?;
                counted.iter().filter_map(StockCount::availability_change).collect()
            }
            (None, delta) => apply_delta(work, &cause, id, delta.unwrap_or_default()).await?,
        };
        append_availability_events(work, &changes).await?;
        Ok(read_level(work, id).await?)
    }
}

async fn read_level(work: &mut UnitOfWork, id: Uuid) -> Result<StockLevel, sqlx::Error> {
    let level = sqlx::query_as!(
        StockLevel,
        r#"SELECT product_id, on_hand, reserved, on_hand - reserved AS "quantity!", $2::timestamptz AS "as_of!"
           FROM products.stock WHERE product_id = $1"#,
        id,
        work.now(),
    );
    level.fetch_one(&mut **work).await
}

async fn apply_delta(work: &mut UnitOfWork, cause: &Cause<'_>, id: Uuid, delta: i64) -> Result<Vec<AvailabilityChange>, Error> {
    match apply_deltas(work, Some(cause), &[StockDelta { product_id: id, on_hand: delta, reserved: 0 }]).await? {
        DeltaOutcome::Applied { available, changes } => match available.get(&id) {
            None => Err(Error::StockNotTracked),
            Some(quantity) if delta > 0 && *quantity > rules::MAX_QUANTITY => Err(Error::TooMuchStock),
            Some(_) => Ok(changes),
        },
        DeltaOutcome::Insufficient { available } => {
            Err(Error::NotEnoughStock { available: available.get(&id).copied().unwrap_or_default() })
        }
    }
}
