//! Events about products that came into stock or went out of it. They invalidate caches and send no mail.

use uuid::Uuid;

use crate::{
    events::{Draft, UnitOfWork},
    products::change::{AVAILABILITY, AvailabilityData},
};

/// A product that came into or went out of stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AvailabilityChange {
    /// Product id.
    pub product_id: Uuid,
    /// Whether it can be bought now.
    pub in_stock: bool,
}

impl AvailabilityChange {
    /// Compares the units that can be sold before and after a change; `before` is `None` if stock wasn't tracked.
    #[must_use]
    pub fn between(product_id: Uuid, before: Option<i64>, after: i64) -> Option<Self> {
        let in_stock = after > 0;
        (before.is_none_or(|before| before > 0) != in_stock).then_some(Self { product_id, in_stock })
    }
}

/// Appends the events to the outbox. The caller holds the locks of their stock, so that the events of one product have the
/// order of the commits. They have no order among the product's other events, so `in_stock` in those can be outdated.
///
/// # Errors
/// Database errors.
pub async fn append_availability_events(work: &mut UnitOfWork, changes: &[AvailabilityChange]) -> Result<(), sqlx::Error> {
    if changes.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = changes.iter().map(|change| change.product_id).collect();
    // Filtered here and not in SQL, for the reason given at `read_sellable`.
    let rows =
        sqlx::query!("SELECT id, version, deleted_at FROM products.products WHERE id = ANY($1)", &ids).fetch_all(&mut **work).await?;
    let kept = rows.into_iter().filter(|row| row.deleted_at.is_none());
    let drafts = kept.filter_map(|row| {
        let in_stock = changes.iter().find(|change| change.product_id == row.id)?.in_stock;
        Some(Draft { kind: AVAILABILITY, aggregate_id: row.id, data: AvailabilityData { version: row.version, in_stock } })
    });
    work.append_many(drafts.collect()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_between_some_and_no_units_are_changes_of_availability() {
        let in_stock = |before, after| AvailabilityChange::between(Uuid::nil(), before, after).map(|change| change.in_stock);
        assert_eq!(in_stock(Some(1), 0), Some(false));
        assert_eq!(in_stock(Some(0), 1), Some(true));
        assert_eq!(in_stock(None, 0), Some(false), "what isn't tracked can be bought");
        for (before, after) in [(Some(5), 1), (Some(0), 0), (None, 3)] {
            assert_eq!(in_stock(before, after), None);
        }
    }
}
