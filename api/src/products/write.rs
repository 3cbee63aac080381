//! Commands on products: create, patch, delete, restore, purge. Each writes the rows and the event in the caller's unit of
//! work.

use catalog_values::text::Text;
use chrono::{DateTime, TimeDelta, Utc};
use garde::Validate;
use serde_json::Value;
use sqlx::{PgConnection, PgPool, types::Json};
use uuid::Uuid;

use super::{
    Catalogue, Error, Money, Product, ProductChange, ProductInput,
    change::{FIELDS, FieldChange, differences},
    search,
    stock::{self, AvailabilityChange, Cause, MovementKind},
    store,
};
use crate::events::{Draft, UnitOfWork};

/// Products per purge transaction, so that it holds few locks.
const PURGE_BATCH: i64 = 1000;

/// Amount of a valid price.
fn amount(input: &ProductInput) -> rust_decimal::Decimal {
    input.price.decimal().unwrap_or_default()
}

impl Catalogue {
    /// Creates a product.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::SkuTaken`].
    pub async fn create(&self, work: &mut UnitOfWork, input: ProductInput) -> Result<Product, Error> {
        input.validate_with(&self.rules()).map_err(Error::Invalid)?;
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
            work.now(),
            search::fold(&input.name),
        )
        .execute(&mut **work)
        .await;
        inserted.map_err(|error| sku_taken(error, &input.sku))?;
        set_quantity(work, id, input.quantity).await?;
        let product = self.reload(work, id).await?;
        append_event(work, "product.created", &product, differences(None, &product)).await?;
        Ok(product)
    }

    /// Applies a merge patch (RFC 7396) if `expected` accepts the current entity tag. Writes no `product.updated` event if
    /// nothing changes or only the quantity does (a change of availability has its own event).
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Changed`], [`Error::Shape`], [`Error::Invalid`], [`Error::SkuTaken`].
    pub async fn patch(&self, work: &mut UnitOfWork, id: Uuid, patch: &Value, expected: impl Fn(&str) -> bool) -> Result<Product, Error> {
        let before = self.lock_live(work, id, expected).await?;
        let input = merge(&before, patch)?;
        input.validate_with(&self.rules()).map_err(Error::Invalid)?;
        let quantity = input.quantity;
        let after = ProductInput { price: Money::new(amount(&input), self.currency), quantity: None, ..input };
        let has_new_version = after != before.to_input();
        if has_new_version {
            write(work, id, &after).await?;
        }
        let changes = set_quantity(work, id, quantity).await?;
        let product = self.reload(work, id).await?;
        if has_new_version {
            append_event(work, "product.updated", &product, differences(Some(&before), &product)).await?;
        } else {
            stock::append_availability_events(work, &changes).await?;
        }
        Ok(product)
    }

    /// Deletes a product if `expected` accepts the current entity tag. It can be restored.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Changed`].
    pub async fn delete(&self, work: &mut UnitOfWork, id: Uuid, expected: impl Fn(&str) -> bool) -> Result<(), Error> {
        self.lock_live(work, id, expected).await?;
        sqlx::query!("UPDATE products.products SET deleted_at = $2, updated_at = $2, version = version + 1 WHERE id = $1", id, work.now())
            .execute(&mut **work)
            .await?;
        let product = self.reload(work, id).await?;
        append_event(work, "product.deleted", &product, Vec::new()).await
    }

    /// Deletes a product permanently, also one that is soft-deleted.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Changed`].
    pub async fn purge(&self, work: &mut UnitOfWork, id: Uuid, expected: impl Fn(&str) -> bool) -> Result<(), Error> {
        let locked = store::lock_product(work, id).await?.ok_or(Error::NotFound)?;
        if !locked.deleted {
            self.delete(work, id, expected).await?;
        } else if !expected(&locked.row.into_product(self.currency).etag()) {
            return Err(Error::Changed);
        }
        let cause = Cause::of(work, MovementKind::Purge);
        stock::purge_stock(work, &cause, &[id]).await?;
        sqlx::query!("DELETE FROM products.products WHERE id = $1", id).execute(&mut **work).await?;
        Ok(())
    }

    /// Restores a deleted product. A product that isn't deleted stays as it is.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it was purged, [`Error::SkuTaken`] if another product has its sku by now.
    pub async fn restore(&self, work: &mut UnitOfWork, id: Uuid) -> Result<Product, Error> {
        let locked = store::lock_product(work, id).await?.ok_or(Error::NotFound)?;
        if !locked.deleted {
            return Ok(locked.row.into_product(self.currency));
        }
        let restored = sqlx::query!(
            "UPDATE products.products SET deleted_at = NULL, updated_at = $2, version = version + 1 WHERE id = $1",
            id,
            work.now()
        )
        .execute(&mut **work)
        .await;
        restored.map_err(|error| sku_taken(error, &locked.row.sku))?;
        let product = self.reload(work, id).await?;
        append_event(work, "product.restored", &product, Vec::new()).await?;
        Ok(product)
    }

    async fn lock_live(&self, tx: &mut PgConnection, id: Uuid, expected: impl Fn(&str) -> bool) -> Result<Product, Error> {
        let locked = store::lock_product(tx, id).await?.filter(|locked| !locked.deleted).ok_or(Error::NotFound)?;
        let product = locked.row.into_product(self.currency);
        if expected(&product.etag()) { Ok(product) } else { Err(Error::Changed) }
    }

    async fn reload(&self, tx: &mut PgConnection, id: Uuid) -> Result<Product, Error> {
        let locked = store::lock_product(tx, id).await?.ok_or(Error::NotFound)?;
        Ok(locked.row.into_product(self.currency))
    }
}

async fn write(work: &mut UnitOfWork, id: Uuid, after: &ProductInput) -> Result<(), Error> {
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
        work.now(),
        search::fold(&after.name),
    )
    .execute(&mut **work)
    .await;
    updated.map_err(|error| sku_taken(error, &after.sku))?;
    Ok(())
}

/// Sets the units that can be sold, if `quantity` is given, and returns the change of availability, if there is one.
async fn set_quantity(work: &mut UnitOfWork, id: Uuid, quantity: Option<i64>) -> Result<Vec<AvailabilityChange>, sqlx::Error> {
    let quantities = quantity.map(|quantity| (id, quantity)).into_iter().collect();
    let cause = Cause::of(work, MovementKind::Count);
    let counted = stock::set_quantities(work, &cause, &quantities).await?;
    Ok(counted.iter().filter_map(stock::StockCount::availability_change).collect())
}

async fn append_event(work: &mut UnitOfWork, kind: &'static str, product: &Product, changes: Vec<FieldChange>) -> Result<(), Error> {
    let actor = work.origin().actor.clone();
    let data = ProductChange { product: product.clone(), changes, version: product.version, actor, import_id: None };
    Ok(work.append(Draft { kind, aggregate_id: product.id, data }).await?)
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
