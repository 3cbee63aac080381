//! Stock adjustments by admins.

use std::collections::HashMap;

use catalog_values::{text, whole};
use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Error,
    rules::{self, Rules},
    schemas,
    stock::{
        AvailabilityChange, Cause, DeltaOutcome, MovementKind, StockCount, StockDelta, append_availability_events, apply_deltas,
        set_quantities,
    },
    store,
    write::Command,
};

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

/// Adjusts the stock of a product that isn't deleted. Also returns the products to invalidate in caches.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Invalid`], [`Error::StockNotTracked`], [`Error::NotEnoughStock`] or [`Error::TooMuchStock`].
pub async fn adjust_stock(
    tx: &mut PgConnection,
    command: &Command<'_>,
    id: Uuid,
    adjustment: &StockAdjustment,
) -> Result<(StockLevel, Vec<(Uuid, i64)>), Error> {
    adjustment.validate_with(&command.rules).map_err(Error::Invalid)?;
    store::lock_product(tx, id).await?.filter(|locked| !locked.deleted).ok_or(Error::NotFound)?;
    let kind = if adjustment.quantity.is_some() { MovementKind::Count } else { MovementKind::Adjustment };
    let cause = command.cause(kind, Some(&adjustment.reason));
    let changes = match (adjustment.quantity, adjustment.delta) {
        (Some(quantity), _) => {
            let counted = set_quantities(tx, &cause, &HashMap::from([(id, quantity)])).await?;
            counted.iter().filter_map(StockCount::availability_change).collect()
        }
        (None, delta) => apply_delta(tx, &cause, id, delta.unwrap_or_default()).await?,
    };
    let stale = append_availability_events(tx, command.outbox, command.origin, &changes, command.now).await?;
    let level = sqlx::query_as!(
        StockLevel,
        r#"SELECT product_id, on_hand, reserved, on_hand - reserved AS "quantity!", $2::timestamptz AS "as_of!"
           FROM products.stock WHERE product_id = $1"#,
        id,
        command.now,
    );
    Ok((level.fetch_one(tx).await?, stale))
}

async fn apply_delta(tx: &mut PgConnection, cause: &Cause<'_>, id: Uuid, delta: i64) -> Result<Vec<AvailabilityChange>, Error> {
    match apply_deltas(tx, Some(cause), &[StockDelta { product_id: id, on_hand: delta, reserved: 0 }]).await? {
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
