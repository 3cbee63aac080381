//! Writing merged rows as products, one chunk per transaction.

use std::collections::{HashMap, HashSet};

use catalog_rows::Fault;
use chrono::{DateTime, Utc};
use garde::Validate;
use uuid::Uuid;

use super::{Error, merge::Merged, progress::Counts, report::RejectedRow, row::FieldUpdate, upsert};
use crate::{
    events::{Actor, Draft, UnitOfWork},
    http::validate::field_errors,
    products::{
        Money, Product, ProductChange, ProductInput,
        change::differences,
        rules::Rules,
        stock::{self, AvailabilityChange, Cause, MovementKind, StockCount},
        store,
    },
};

/// Retries if other transactions create products of the chunk at the same time.
const MAX_ROUNDS: usize = 5;

/// Result of one chunk.
#[derive(Default)]
pub struct Applied {
    /// Counts of the summary.
    pub counts: Counts,
    /// Rows that are invalid together with the existing product.
    pub rejected: Vec<RejectedRow>,
    /// Quantities to set at the end of the transaction.
    pub stock_counts: StockCounts,
}

/// Quantities of an import. They are set in one statement at the end of the transaction, so that orders of the same products
/// wait only for that statement and cannot deadlock with the import.
#[derive(Default)]
pub struct StockCounts {
    quantities: HashMap<Uuid, i64>,
    /// Products without other changes. A change of their availability has its own event.
    unchanged: HashSet<Uuid>,
}

impl StockCounts {
    /// Adds the quantities of another chunk.
    pub fn add(&mut self, other: Self) {
        self.quantities.extend(other.quantities);
        self.unchanged.extend(other.unchanged);
    }

    /// Sets the quantities and returns the number of products of which only the stock changed.
    ///
    /// # Errors
    /// Database errors.
    pub async fn apply(&self, work: &mut UnitOfWork) -> Result<u64, Error> {
        let cause = Cause::of(work, MovementKind::Count);
        let counted = stock::set_quantities(work, &cause, &self.quantities).await?;
        let changed = counted.iter().filter(|count| count.is_change() && self.unchanged.contains(&count.product_id));
        let changes: Vec<AvailabilityChange> = changed.clone().filter_map(StockCount::availability_change).collect();
        stock::append_availability_events(work, &changes).await?;
        Ok(changed.count() as u64)
    }
}

/// Writes products and events. Rows are sorted by sku, and each sku occurs once.
///
/// # Errors
/// [`Error::Contended`] if other transactions keep creating and deleting the same products, or database errors.
pub async fn apply_chunk(work: &mut UnitOfWork, rules: &Rules, import_id: Uuid, rows: &[Merged]) -> Result<Applied, Error> {
    let mut applied = Applied::default();
    let mut pending: Vec<&Merged> = rows.iter().collect();
    for _ in 0..MAX_ROUNDS {
        if pending.is_empty() {
            return Ok(applied);
        }
        let skus: Vec<&str> = pending.iter().map(|merged| merged.row.sku.as_str()).collect();
        let existing = store::lock_by_skus(work, &skus).await?;
        let existing = existing.into_iter().map(|row| (row.sku.clone(), row.into_product(rules.currency))).collect();
        let plan = Plan::new(rules, work.now(), pending, existing, &mut applied);
        pending = plan.execute(work, import_id, &mut applied).await?;
    }
    Err(Error::Contended)
}

/// Planned writes of a chunk.
#[derive(Default)]
struct Plan<'a> {
    creates: Vec<(&'a Merged, Product)>,
    updates: Vec<(Product, Product)>,
    unchanged: Vec<Product>,
    quantities: HashMap<Uuid, i64>,
}

impl<'a> Plan<'a> {
    fn new(
        rules: &Rules,
        now: DateTime<Utc>,
        rows: Vec<&'a Merged>,
        mut existing: HashMap<String, Product>,
        applied: &mut Applied,
    ) -> Self {
        let mut plan = Self::default();
        for merged in rows {
            let before = existing.remove(&merged.row.sku);
            let input = merged.row.clone().apply_to(before.as_ref());
            // The row itself is valid, but may not be together with the existing attributes.
            if before.is_some()
                && matches!(merged.row.attributes, FieldUpdate::Value(_))
                && let Err(report) = input.validate_with(rules)
            {
                let faults = field_errors(report).into_iter().map(Fault::from).collect();
                applied.rejected.push(RejectedRow { row: merged.last, count: merged.count, faults });
                continue;
            }
            let quantity = input.quantity;
            let after = build_product(rules, now, before.as_ref(), input);
            if let Some(quantity) = quantity {
                plan.quantities.insert(after.id, quantity);
            }
            match before {
                None => plan.creates.push((merged, after)),
                Some(before) if before.to_input() == after.to_input() => plan.unchanged.push(before),
                Some(before) => plan.updates.push((before, after)),
            }
        }
        plan
    }

    /// Executes the plan and returns the rows whose products other transactions created meanwhile.
    async fn execute(mut self, work: &mut UnitOfWork, import_id: Uuid, applied: &mut Applied) -> Result<Vec<&'a Merged>, Error> {
        let now = work.now();
        let created = upsert::insert(work, &self.creates.iter().map(|(_, product)| product).collect::<Vec<_>>(), now).await?;
        let mut conflicts = Vec::new();
        if created.len() < self.creates.len() {
            let created: HashSet<Uuid> = created.into_iter().collect();
            let all = std::mem::take(&mut self.creates);
            let (inserted, conflicting): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, product)| created.contains(&product.id));
            self.creates = inserted;
            for (merged, product) in conflicting {
                self.quantities.remove(&product.id);
                conflicts.push(merged);
            }
        }
        upsert::update(work, &self.updates.iter().map(|(_, product)| product).collect::<Vec<_>>(), now).await?;

        let changes = self.creates.iter().map(|(_, after)| ("product.created", None, after));
        let changes = changes.chain(self.updates.iter().map(|(before, after)| ("product.updated", Some(before), after)));
        let actor = &work.origin().actor;
        let drafts: Vec<_> = changes.map(|(kind, before, after)| build_draft(actor, import_id, kind, before, after)).collect();
        work.append_many(drafts).await?;

        applied.counts.created += self.creates.len() as u64;
        applied.counts.updated += self.updates.len() as u64;
        applied.counts.unchanged += self.unchanged.len() as u64;
        let counted = self.unchanged.iter().filter(|product| self.quantities.contains_key(&product.id));
        let unchanged = counted.map(|product| product.id).collect();
        applied.stock_counts.add(StockCounts { quantities: self.quantities, unchanged });
        Ok(conflicts)
    }
}

fn build_product(rules: &Rules, now: DateTime<Utc>, before: Option<&Product>, input: ProductInput) -> Product {
    let amount = input.price.decimal().unwrap_or_default();
    Product {
        id: before.map_or_else(Uuid::now_v7, |before| before.id),
        sku: input.sku,
        name: input.name,
        brand: input.brand,
        description: input.description,
        categories: input.categories,
        price: Money::new(amount, rules.currency),
        url: input.url,
        released_on: input.released_on,
        attributes: input.attributes,
        in_stock: input.quantity.map_or(before.is_none_or(|before| before.in_stock), |quantity| quantity > 0),
        created_at: before.map_or(now, |before| before.created_at),
        updated_at: now,
        version: before.map_or(1, |before| before.version + 1),
    }
}

fn build_draft(actor: &Actor, import_id: Uuid, kind: &'static str, before: Option<&Product>, after: &Product) -> Draft<ProductChange> {
    let data = ProductChange {
        product: after.clone(),
        changes: differences(before, after),
        version: after.version,
        actor: actor.clone(),
        import_id: Some(import_id),
    };
    Draft { kind, aggregate_id: after.id, data }
}
