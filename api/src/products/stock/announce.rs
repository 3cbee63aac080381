//! Telling that products came into stock or went out of it. It is for caches: nobody is mailed.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    events::{Draft, Origin, Outbox},
    products::change::{AVAILABILITY, AvailabilityChange},
};

/// A product that came into stock or went out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turned {
    /// Product.
    pub product_id: Uuid,
    /// Whether it can be bought now.
    pub in_stock: bool,
}

impl Turned {
    /// From what could be sold before, `None` where stock wasn't tracked, and what can be sold now.
    #[must_use]
    pub fn between(product_id: Uuid, before: Option<i64>, after: i64) -> Option<Self> {
        let in_stock = after > 0;
        (before.is_none_or(|before| before > 0) != in_stock).then_some(Self { product_id, in_stock })
    }
}

/// Writes the events, and gives the products that caches must forget, with their versions. The caller holds the
/// locks of their stock, so that these events of one product come in the order of the commits. Between them and the
/// product's other events there is no order: `in_stock` in those may be overtaken.
///
/// # Errors
/// If the database refuses.
pub async fn announce(
    tx: &mut PgConnection,
    outbox: &Outbox,
    origin: &Origin,
    turned: &[Turned],
    now: DateTime<Utc>,
) -> Result<Vec<(Uuid, i64)>, sqlx::Error> {
    if turned.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = turned.iter().map(|turned| turned.product_id).collect();
    // Not in SQL, for the reason that `offers` tells.
    let rows = sqlx::query!("SELECT id, version, deleted_at FROM products.products WHERE id = ANY($1)", &ids).fetch_all(&mut *tx).await?;
    let kept = rows.into_iter().filter(|row| row.deleted_at.is_none());
    let versions: Vec<(Uuid, i64)> = kept.map(|row| (row.id, row.version)).collect();
    let drafts = versions.iter().filter_map(|(id, version)| {
        let in_stock = turned.iter().find(|turned| turned.product_id == *id)?.in_stock;
        let data = AvailabilityChange { version: *version, in_stock };
        Some(Draft { kind: AVAILABILITY, aggregate_id: *id, time: now, data })
    });
    outbox.append_many(tx, origin, drafts.collect()).await?;
    Ok(versions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_way_from_some_to_none_and_back_is_told() {
        let turned = |before, after| Turned::between(Uuid::nil(), before, after).map(|turned| turned.in_stock);
        assert_eq!(turned(Some(1), 0), Some(false));
        assert_eq!(turned(Some(0), 1), Some(true));
        assert_eq!(turned(None, 0), Some(false), "what isn't tracked can be bought");
        for (before, after) in [(Some(5), 1), (Some(0), 0), (None, 3)] {
            assert_eq!(turned(before, after), None);
        }
    }
}
