//! Commands on products: create, patch, delete, restore, purge. Each writes the rows and the event in the caller's
//! transaction.

use catalog_values::text::Text;
use chrono::{DateTime, TimeDelta, Utc};
use garde::Validate;
use serde_json::Value;
use sqlx::{PgConnection, PgPool, types::Json};
use uuid::Uuid;

use super::{
    Error, Money, Product, ProductChange, ProductInput,
    change::{FIELDS, FieldChange, differences},
    rules::Rules,
    search,
    stock::{self, AvailabilityChange, Cause, MovementKind},
    store,
};
use crate::events::{Draft, Origin, Outbox};

/// Products per purge transaction, so that it holds few locks.
const PURGE_BATCH: i64 = 1000;

/// Context of a command.
pub struct Command<'a> {
    /// Receives the events.
    pub outbox: &'a Outbox,
    /// The account and the request.
    pub origin: &'a Origin,
    /// Rules of the catalogue.
    pub rules: Rules,
    /// Time of the command.
    pub now: DateTime<Utc>,
}

/// Result of a command.
pub struct Outcome {
    /// The product afterwards.
    pub product: Product,
    /// Whether the product has a new version.
    pub has_new_version: bool,
}

/// Amount of a valid price.
fn amount(input: &ProductInput) -> rust_decimal::Decimal {
    input.price.decimal().unwrap_or_default()
}

impl Command<'_> {
    /// Creates a product.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::SkuTaken`].
    pub async fn create(&self, tx: &mut PgConnection, input: ProductInput) -> Result<Product, Error> {
        input.validate_with(&self.rules).map_err(Error::Invalid)?;
        let id = Uuid::now_v7();
        let inserted = sqlx::query!(
            "INSERT INTO products.products (id, sku, name, brand, description, categories, price, url, released_on, attributes, created_at, updated_at,
                 search_name_of, search_name)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $3, $12)",
            id,
            input.sku,
            input.name,
            input.brand,
            input.description,
            &input.categories,
            amount(&input),
            input.url,
            input.released_on,
            Json(&input.attributes) as _,
            self.now,
            search::fold(&input.name),
        )
        .execute(&mut *tx)
        .await;
        inserted.map_err(|error| sku_taken(error, &input.sku))?;
        self.set_quantity(tx, id, input.quantity).await?;
        let product = self.reload(tx, id).await?;
        self.append_event(tx, "product.created", &product, differences(None, &product)).await?;
        Ok(product)
    }

    /// Applies a merge patch (RFC 7396) if `expected` accepts the current entity tag. Writes no `product.updated` event if
    /// nothing changes or only the quantity does (a change of availability has its own event).
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Changed`], [`Error::Shape`], [`Error::Invalid`], [`Error::SkuTaken`].
    pub async fn patch(&self, tx: &mut PgConnection, id: Uuid, patch: &Value, expected: impl Fn(&str) -> bool) -> Result<Outcome, Error> {
        let before = self.lock_live(tx, id, expected).await?;
        let input = merge(&before, patch)?;
        input.validate_with(&self.rules).map_err(Error::Invalid)?;
        let quantity = input.quantity;
        let after = ProductInput { price: Money::new(amount(&input), self.rules.currency), quantity: None, ..input };
        let has_new_version = after != before.to_input();
        if has_new_version {
            self.write(tx, id, &after).await?;
        }
        let changes = self.set_quantity(tx, id, quantity).await?;
        let product = self.reload(tx, id).await?;
        if has_new_version {
            self.append_event(tx, "product.updated", &product, differences(Some(&before), &product)).await?;
        } else {
            stock::append_availability_events(tx, self.outbox, self.origin, &changes, self.now).await?;
        }
        Ok(Outcome { product, has_new_version })
    }

    async fn write(&self, tx: &mut PgConnection, id: Uuid, after: &ProductInput) -> Result<(), Error> {
        let updated = sqlx::query!(
            "UPDATE products.products SET sku = $2, name = $3, brand = $4, description = $5, categories = $6, price = $7, url = $8,
                 released_on = $9, attributes = $10, updated_at = $11, version = version + 1, search_name_of = $3, search_name = $12
             WHERE id = $1",
            id,
            after.sku,
            after.name,
            after.brand,
            after.description,
            &after.categories,
            amount(after),
            after.url,
            after.released_on,
            Json(&after.attributes) as _,
            self.now,
            search::fold(&after.name),
        )
        .execute(tx)
        .await;
        updated.map_err(|error| sku_taken(error, &after.sku))?;
        Ok(())
    }

    /// Deletes a product if `expected` accepts the current entity tag, and returns its last version. It can be restored.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Changed`].
    pub async fn delete(&self, tx: &mut PgConnection, id: Uuid, expected: impl Fn(&str) -> bool) -> Result<i64, Error> {
        self.lock_live(tx, id, expected).await?;
        sqlx::query!("UPDATE products.products SET deleted_at = $2, updated_at = $2, version = version + 1 WHERE id = $1", id, self.now)
            .execute(&mut *tx)
            .await?;
        let product = self.reload(tx, id).await?;
        self.append_event(tx, "product.deleted", &product, Vec::new()).await?;
        Ok(product.version)
    }

    /// Deletes a product permanently, also one that is soft-deleted.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Changed`].
    pub async fn purge(&self, tx: &mut PgConnection, id: Uuid, expected: impl Fn(&str) -> bool) -> Result<i64, Error> {
        let locked = store::lock_product(tx, id).await?.ok_or(Error::NotFound)?;
        let version = if locked.deleted {
            let product = locked.row.into_product(self.rules.currency);
            if !expected(&product.etag()) {
                return Err(Error::Changed);
            }
            product.version
        } else {
            self.delete(tx, id, expected).await?
        };
        stock::purge_stock(tx, &self.cause(MovementKind::Purge, None), &[id]).await?;
        sqlx::query!("DELETE FROM products.products WHERE id = $1", id).execute(tx).await?;
        Ok(version)
    }

    /// Restores a deleted product. A product that isn't deleted stays as it is.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it was purged, [`Error::SkuTaken`] if another product has its sku by now.
    pub async fn restore(&self, tx: &mut PgConnection, id: Uuid) -> Result<Outcome, Error> {
        let locked = store::lock_product(tx, id).await?.ok_or(Error::NotFound)?;
        if !locked.deleted {
            return Ok(Outcome { product: locked.row.into_product(self.rules.currency), has_new_version: false });
        }
        let restored = sqlx::query!(
            "UPDATE products.products SET deleted_at = NULL, updated_at = $2, version = version + 1 WHERE id = $1",
            id,
            self.now
        )
        .execute(&mut *tx)
        .await;
        restored.map_err(|error| sku_taken(error, &locked.row.sku))?;
        let product = self.reload(tx, id).await?;
        self.append_event(tx, "product.restored", &product, Vec::new()).await?;
        Ok(Outcome { product, has_new_version: true })
    }

    /// Cause of the stock movements of this command.
    #[must_use]
    pub fn cause<'a>(&self, kind: MovementKind, reason: Option<&'a str>) -> Cause<'a> {
        Cause { kind, order_id: None, actor_id: Some(self.origin.actor.id), reason, at: self.now }
    }

    /// Sets the units that can be sold, if `quantity` is given, and returns the change of availability, if there is one.
    async fn set_quantity(&self, tx: &mut PgConnection, id: Uuid, quantity: Option<i64>) -> Result<Vec<AvailabilityChange>, sqlx::Error> {
        let quantities = quantity.map(|quantity| (id, quantity)).into_iter().collect();
        let counted = stock::set_quantities(tx, &self.cause(MovementKind::Count, None), &quantities).await?;
        Ok(counted.iter().filter_map(stock::StockCount::availability_change).collect())
    }

    async fn lock_live(&self, tx: &mut PgConnection, id: Uuid, expected: impl Fn(&str) -> bool) -> Result<Product, Error> {
        let locked = store::lock_product(tx, id).await?.filter(|locked| !locked.deleted).ok_or(Error::NotFound)?;
        let product = locked.row.into_product(self.rules.currency);
        if expected(&product.etag()) { Ok(product) } else { Err(Error::Changed) }
    }

    async fn reload(&self, tx: &mut PgConnection, id: Uuid) -> Result<Product, Error> {
        let locked = store::lock_product(tx, id).await?.ok_or(Error::NotFound)?;
        Ok(locked.row.into_product(self.rules.currency))
    }

    async fn append_event(
        &self,
        tx: &mut PgConnection,
        kind: &'static str,
        product: &Product,
        changes: Vec<FieldChange>,
    ) -> Result<(), Error> {
        let data = ProductChange {
            product: product.clone(),
            changes,
            version: product.version,
            actor: self.origin.actor.clone(),
            import_id: None,
        };
        self.outbox.append(tx, self.origin, Draft { kind, aggregate_id: product.id, time: self.now, data }).await?;
        Ok(())
    }
}

fn sku_taken(error: sqlx::Error, sku: &str) -> Error {
    if store::is_sku_taken(&error) { Error::SkuTaken(sku.to_owned()) } else { error.into() }
}

/// Applies the patch to the product and reads the result as strictly as a new product.
fn merge(product: &Product, patch: &Value) -> Result<ProductInput, Error> {
    for (field, value) in patch.as_object().into_iter().flatten() {
        let invalid = |why: &str| Err(Error::Shape(format!("/{}", catalog_values::json_pointer::escape(field)), why.to_owned()));
        match field.as_str() {
            // The merge would drop the field silently.
            "sku" | "name" | "price" if value.is_null() => return invalid("is required and cannot be removed"),
            "quantity" if value.is_null() => return invalid("must be a whole number; tracked stock cannot become untracked"),
            known if known == "quantity" || FIELDS.contains(&known) => {}
            _ => return invalid("is unknown or read-only; remove it"),
        }
    }
    let mut document = serde_json::to_value(product.to_input()).map_err(|error| Error::Shape(String::new(), error.to_string()))?;
    let mut patch = patch.clone();
    // Attribute names must match the stored ones, which are in NFC. Values are normalised when they are read.
    if let Some(Value::Object(attributes)) = patch.get_mut("attributes") {
        *attributes = std::mem::take(attributes).into_iter().map(|(name, value)| (name.into_nfc(), value)).collect();
    }
    json_patch::merge(&mut document, &patch);
    serde_path_to_error::deserialize(&document).map_err(|error| {
        let (pointer, detail) = crate::http::body::describe_error(&error);
        Error::Shape(pointer, detail)
    })
}

/// Purges products that were deleted more than `retention` before `now`, in batches, and returns their number.
///
/// # Errors
/// Database errors.
pub async fn purge_deleted(pool: &PgPool, now: DateTime<Utc>, retention: TimeDelta) -> Result<u64, sqlx::Error> {
    let mut purged = 0;
    loop {
        let mut tx = pool.begin().await?;
        let ids = sqlx::query_scalar!(
            "SELECT id FROM products.products WHERE deleted_at < $1 ORDER BY deleted_at LIMIT $2 FOR UPDATE SKIP LOCKED",
            now - retention,
            PURGE_BATCH,
        )
        .fetch_all(&mut *tx)
        .await?;
        if ids.is_empty() {
            return Ok(purged);
        }
        let cause = Cause { kind: MovementKind::Purge, order_id: None, actor_id: None, reason: None, at: now };
        stock::purge_stock(&mut tx, &cause, &ids).await?;
        purged += sqlx::query!("DELETE FROM products.products WHERE id = ANY($1)", &ids).execute(&mut *tx).await?.rows_affected();
        tx.commit().await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn product() -> Product {
        serde_json::from_value(json!({
            "id": Uuid::nil(), "sku": "a", "name": "A", "brand": "B", "categories": ["x"], "price": {"amount": "1.00", "currency": "EUR"},
            "attributes": {"colour": "red", "size": "L"}, "in_stock": true,
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "version": 1
        }))
        .unwrap()
    }

    #[test]
    fn null_removes_optional_fields_and_is_rejected_for_required_ones() {
        let merged = merge(&product(), &json!({"brand": null, "attributes": {"size": null, "weight": "3 kg"}})).unwrap();
        assert_eq!(merged.brand, None);
        assert_eq!(merged.attributes.into_iter().collect::<Vec<_>>(), [("colour".into(), "red".into()), ("weight".into(), "3 kg".into())]);
        for required in ["name", "sku", "price", "quantity"] {
            assert!(matches!(merge(&product(), &json!({ (required): null })), Err(Error::Shape(at, _)) if at == format!("/{required}")));
        }
    }

    #[test]
    fn read_only_fields_cannot_be_patched() {
        for field in ["id", "version", "in_stock", "views", "created_at", "brnd"] {
            for value in [json!(7), json!(null)] {
                assert!(matches!(merge(&product(), &json!({ (field): value })), Err(Error::Shape(..))), "{field}");
            }
        }
    }
}
