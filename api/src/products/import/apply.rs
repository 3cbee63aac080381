//! Merged rows become products: one chunk, one transaction.

use std::collections::{HashMap, HashSet};

use garde::Validate;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Error,
    merge::Merged,
    progress::Counts,
    report::{Fault, Refusal},
    row::Given,
    upsert,
};
use crate::{
    events::Draft,
    http::validate::field_errors,
    products::{
        Money, Product, ProductChange, ProductInput,
        change::differences,
        stock::{self, Counted, MovementKind, Turned},
        store,
        write::Command,
    },
};

/// Rounds of finding that others have just created what was to be created.
const MAX_ROUNDS: usize = 5;

/// What one chunk did.
#[derive(Default)]
pub struct Applied {
    /// As events tell it.
    pub counts: Counts,
    /// Rows that don't go together with the product they are about.
    pub refusals: Vec<Refusal>,
    /// Products that single reads must not show as they were: id and version.
    pub touched: Vec<(Uuid, i64)>,
    /// What is to be counted once all is written: see [`Stocktaking`].
    pub stocktaking: Stocktaking,
}

/// The quantities of an import. They are counted in one statement at the end of the transaction, so that customers who
/// order the same products wait for that alone, and never in a circle.
#[derive(Default)]
pub struct Stocktaking {
    quantities: HashMap<Uuid, i64>,
    /// Versions of products that are as they were, but perhaps for their stock: no other event tells of it.
    same: HashMap<Uuid, i64>,
}

impl Stocktaking {
    /// Adds what another chunk found.
    pub fn add(&mut self, other: Self) {
        self.quantities.extend(other.quantities);
        self.same.extend(other.same);
    }

    /// Counts, and gives the products, with their versions, that are different by their stock alone.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn finish(&self, tx: &mut PgConnection, command: &Command<'_>) -> Result<Vec<(Uuid, i64)>, Error> {
        let counted = stock::count(tx, &command.cause(MovementKind::Count, None), &self.quantities).await?;
        let restocked = counted.iter().filter(|counted| counted.is_change() && self.same.contains_key(&counted.product_id));
        let turned: Vec<Turned> = restocked.clone().filter_map(Counted::turned).collect();
        stock::announce(tx, command.outbox, command.origin, &turned, command.now).await?;
        Ok(restocked.filter_map(|counted| Some((counted.product_id, *self.same.get(&counted.product_id)?))).collect())
    }
}

/// Writes products and events. Rows are sorted by sku, each sku is there once.
///
/// # Errors
/// [`Error::Contended`] if others keep creating and deleting the same products, or the database refuses.
pub async fn chunk(tx: &mut PgConnection, command: &Command<'_>, import_id: Uuid, rows: &[Merged]) -> Result<Applied, Error> {
    let mut applied = Applied::default();
    let mut pending: Vec<&Merged> = rows.iter().collect();
    for _ in 0..MAX_ROUNDS {
        if pending.is_empty() {
            return Ok(applied);
        }
        let skus: Vec<&str> = pending.iter().map(|merged| merged.row.sku.as_str()).collect();
        let existing = store::lock_by_skus(tx, &skus).await?;
        let existing = existing.into_iter().map(|row| (row.sku.clone(), row.into_product(command.rules.currency))).collect();
        let plan = Plan::new(command, pending, existing, &mut applied);
        pending = plan.carry_out(tx, command, import_id, &mut applied).await?;
    }
    Err(Error::Contended)
}

/// What is to be done, with nothing left to decide.
#[derive(Default)]
struct Plan<'a> {
    creates: Vec<(&'a Merged, Product)>,
    updates: Vec<(Product, Product)>,
    same: Vec<Product>,
    quantities: HashMap<Uuid, i64>,
}

impl<'a> Plan<'a> {
    fn new(command: &Command<'_>, rows: Vec<&'a Merged>, mut existing: HashMap<String, Product>, applied: &mut Applied) -> Self {
        let mut plan = Self::default();
        for merged in rows {
            let before = existing.remove(&merged.row.sku);
            let input = merged.row.clone().over(before.as_ref());
            // Alone the row keeps the rules, but not always together with what the product had.
            if before.is_some()
                && matches!(merged.row.attributes, Given::Value(_))
                && let Err(report) = input.validate_with(&command.rules)
            {
                let faults = field_errors(report).into_iter().map(Fault::from).collect();
                applied.refusals.push(Refusal { row: merged.last, count: merged.count, faults });
                continue;
            }
            let quantity = input.quantity;
            let after = product(command, before.as_ref(), input);
            if let Some(quantity) = quantity {
                plan.quantities.insert(after.id, quantity);
            }
            match before {
                None => plan.creates.push((merged, after)),
                Some(before) if before.to_input() == after.to_input() => plan.same.push(before),
                Some(before) => plan.updates.push((before, after)),
            }
        }
        plan
    }

    /// Gives back the rows whose products others created meanwhile.
    async fn carry_out(
        mut self,
        tx: &mut PgConnection,
        command: &Command<'_>,
        import_id: Uuid,
        applied: &mut Applied,
    ) -> Result<Vec<&'a Merged>, Error> {
        let created = upsert::insert(tx, &self.creates.iter().map(|(_, product)| product).collect::<Vec<_>>(), command.now).await?;
        let mut overtaken = Vec::new();
        if created.len() < self.creates.len() {
            let created: HashSet<Uuid> = created.into_iter().collect();
            let all = std::mem::take(&mut self.creates);
            let (ours, theirs): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, product)| created.contains(&product.id));
            self.creates = ours;
            for (merged, product) in theirs {
                self.quantities.remove(&product.id);
                overtaken.push(merged);
            }
        }
        upsert::update(tx, &self.updates.iter().map(|(_, product)| product).collect::<Vec<_>>(), command.now).await?;

        let changes = self.creates.iter().map(|(_, after)| ("product.created", None, after));
        let changes = changes.chain(self.updates.iter().map(|(before, after)| ("product.updated", Some(before), after)));
        let drafts: Vec<_> = changes.map(|(kind, before, after)| draft(command, import_id, kind, before, after)).collect();
        command.outbox.append_many(tx, command.origin, drafts).await?;

        applied.counts.created += self.creates.len() as u64;
        applied.counts.updated += self.updates.len() as u64;
        applied.counts.unchanged += self.same.len() as u64;
        applied.touched.extend(self.updates.iter().map(|(_, after)| (after.id, after.version)));
        let counted = self.same.iter().filter(|product| self.quantities.contains_key(&product.id));
        let same = counted.map(|product| (product.id, product.version)).collect();
        applied.stocktaking.add(Stocktaking { quantities: self.quantities, same });
        Ok(overtaken)
    }
}

fn product(command: &Command<'_>, before: Option<&Product>, input: ProductInput) -> Product {
    let amount = input.price.decimal().unwrap_or_default();
    Product {
        id: before.map_or_else(Uuid::now_v7, |before| before.id),
        sku: input.sku,
        name: input.name,
        brand: input.brand,
        description: input.description,
        categories: input.categories,
        price: Money::new(amount, command.rules.currency),
        url: input.url,
        released_on: input.released_on,
        attributes: input.attributes,
        in_stock: input.quantity.map_or(before.is_none_or(|before| before.in_stock), |quantity| quantity > 0),
        created_at: before.map_or(command.now, |before| before.created_at),
        updated_at: command.now,
        version: before.map_or(1, |before| before.version + 1),
    }
}

fn draft(command: &Command<'_>, import_id: Uuid, kind: &'static str, before: Option<&Product>, after: &Product) -> Draft<ProductChange> {
    let data = ProductChange {
        product: after.clone(),
        changes: differences(before, after),
        version: after.version,
        actor: command.origin.actor.clone(),
        import_id: Some(import_id),
    };
    Draft { kind, aggregate_id: after.id, time: command.now, data }
}
