//! What admins say of stock.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Cause, Counted, MovementKind, Shift, Shifted, Turned, announce, count, shift};
use crate::{
    http::body::whole,
    products::{
        Error,
        rules::{self, Rules},
        schemas, store,
        write::Command,
    },
    text,
};

/// How stock is to change: give either `delta` or `quantity`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(context(Rules))]
pub struct StockAdjustment {
    /// Units that came, or went if negative; not 0. For products whose stock is tracked.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole::optional")]
    #[garde(inner(custom(rules::delta)), custom(either(self.quantity)))]
    #[schema(schema_with = schemas::delta)]
    pub delta: Option<i64>,
    /// Units that can be sold now. What carts hold comes on top. Starts tracking where nobody did.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole::optional")]
    #[garde(inner(custom(rules::quantity)))]
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    pub quantity: Option<i64>,
    /// Why, for the ledger.
    #[serde(deserialize_with = "text::normalized")]
    #[garde(custom(rules::line::<200>))]
    #[schema(example = "three broken in the warehouse", min_length = 1, max_length = 200, pattern = "line")]
    pub reason: String,
}

fn either(quantity: Option<i64>) -> impl FnOnce(&Option<i64>, &Rules) -> garde::Result {
    move |delta, _| {
        if delta.is_some() == quantity.is_some() {
            return Err(garde::Error::new("give either delta, by how much it changes, or quantity, what can be sold then"));
        }
        Ok(())
    }
}

/// The stock of one product, as admins see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct StockLevel {
    /// Product.
    pub product_id: Uuid,
    /// Units that are there.
    pub on_hand: i64,
    /// The part of them that carts hold.
    pub reserved: i64,
    /// The rest, which can be sold now.
    pub quantity: i64,
    /// When this was true.
    pub as_of: DateTime<Utc>,
}

/// Adjusts the stock of a product that isn't deleted. Gives what caches must forget, too.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Invalid`], [`Error::StockNotTracked`], [`Error::NotEnoughStock`] or [`Error::TooMuchStock`].
pub async fn adjust(
    tx: &mut PgConnection,
    command: &Command<'_>,
    id: Uuid,
    adjustment: &StockAdjustment,
) -> Result<(StockLevel, Vec<(Uuid, i64)>), Error> {
    adjustment.validate_with(&command.rules).map_err(Error::Invalid)?;
    store::lock(tx, id).await?.filter(|locked| !locked.deleted).ok_or(Error::NotFound)?;
    let kind = if adjustment.quantity.is_some() { MovementKind::Count } else { MovementKind::Adjustment };
    let cause = command.cause(kind, Some(&adjustment.reason));
    let turned = match (adjustment.quantity, adjustment.delta) {
        (Some(quantity), _) => {
            let counted = count(tx, &cause, &HashMap::from([(id, quantity)])).await?;
            counted.iter().filter_map(Counted::turned).collect()
        }
        (None, delta) => by_delta(tx, &cause, id, delta.unwrap_or_default()).await?,
    };
    let forget = announce(tx, command.outbox, command.origin, &turned, command.now).await?;
    let level = sqlx::query_as!(
        StockLevel,
        r#"SELECT product_id, on_hand, reserved, on_hand - reserved AS "quantity!", $2::timestamptz AS "as_of!"
           FROM products.stock WHERE product_id = $1"#,
        id,
        command.now,
    );
    Ok((level.fetch_one(tx).await?, forget))
}

async fn by_delta(tx: &mut PgConnection, cause: &Cause<'_>, id: Uuid, delta: i64) -> Result<Vec<Turned>, Error> {
    match shift(tx, Some(cause), &[Shift { product_id: id, on_hand: delta, reserved: 0 }]).await? {
        Shifted::Done { available, turned } => match available.get(&id) {
            None => Err(Error::StockNotTracked),
            Some(quantity) if delta > 0 && *quantity > rules::MAX_QUANTITY => Err(Error::TooMuchStock),
            Some(_) => Ok(turned),
        },
        Shifted::Short { available } => Err(Error::NotEnoughStock { available: available.get(&id).copied().unwrap_or_default() }),
    }
}
