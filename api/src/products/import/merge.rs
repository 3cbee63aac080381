//! Merging the rows of one sku: later values win, categories and attributes are combined. Importing the same rows again
//! therefore changes nothing.

use std::{collections::BTreeMap, vec};

use catalog_rows::Fault;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Error,
    report::{RejectedRow, RowWarning},
    row::{FieldUpdate, ValidRow},
    staging::{self, StagedRow},
};
use crate::products::rules::{self, Rules};

/// Maximum number of products per transaction.
const CHUNK_PRODUCTS: usize = 500;
/// Approximate maximum size of the rows per transaction, in bytes.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;

/// The merged rows of one sku.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// Merged values.
    pub row: ValidRow,
    /// Number of the last row, from 1.
    pub last: u64,
    /// Number of rows.
    pub count: u64,
}

impl ValidRow {
    /// Merges a later row of the same sku into this one.
    ///
    /// # Errors
    /// If each row is valid, but the merged values are not. This row is then unchanged.
    pub fn merge(&mut self, later: Self, rules: &Rules) -> Result<(), Fault> {
        let fault = |pointer: &str, error: &garde::Error| Fault {
            pointer: pointer.to_owned(),
            detail: format!("together with the earlier rows of this sku: {}", error.message()),
        };
        let categories = match (&self.categories, &later.categories) {
            (FieldUpdate::Value(before), FieldUpdate::Value(after)) => {
                let mut merged = before.clone();
                merged.extend(after.iter().filter(|category| !before.contains(category)).cloned());
                rules::categories(&merged, rules).map_err(|error| fault("/categories", &error))?;
                FieldUpdate::Value(merged)
            }
            (before, after) => later_value(before, after),
        };
        let attributes = match (&self.attributes, &later.attributes) {
            (FieldUpdate::Value(before), FieldUpdate::Value(after)) => {
                let mut merged = before.clone();
                merged.extend(after.clone());
                let set: BTreeMap<String, String> =
                    merged.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect();
                rules::attributes(&set, rules).map_err(|error| fault("/attributes", &error))?;
                FieldUpdate::Value(merged)
            }
            (before, after) => later_value(before, after),
        };
        *self = Self {
            categories,
            attributes,
            brand: later_value(&self.brand, &later.brand),
            description: later_value(&self.description, &later.description),
            url: later_value(&self.url, &later.url),
            released_on: later_value(&self.released_on, &later.released_on),
            quantity: later.quantity.or(self.quantity),
            ..later
        };
        Ok(())
    }
}

fn later_value<T: Clone>(before: &FieldUpdate<T>, after: &FieldUpdate<T>) -> FieldUpdate<T> {
    if after.is_present() { after.clone() } else { before.clone() }
}

/// Returns a warning if a later row of the same sku has another name.
fn name_warning(current: &Merged, number: u64, later: &ValidRow) -> Option<RowWarning> {
    let ValidRow { sku, name, .. } = later;
    let (before, last) = (&current.row.name, current.last);
    (before != name).then(|| RowWarning {
        row: number,
        sku: sku.clone(),
        detail: format!("row {number} and row {last} have the sku {sku:?} and different names: {name:?} replaced {before:?}"),
    })
}

/// Reads the staged rows of an import in the order of skus and merges them.
pub struct MergedRows {
    import_id: Uuid,
    page: vec::IntoIter<StagedRow>,
    /// Sku and number of the last row that was read.
    position: (String, i64),
    /// The product whose rows are being merged.
    current: Option<Merged>,
    rows_read: u64,
}

/// The merged rows of several products.
#[derive(Default)]
pub struct Chunk {
    /// Sorted by sku; each sku occurs once.
    pub rows: Vec<Merged>,
    /// Rows that are invalid together with earlier rows of their sku.
    pub rejected: Vec<RejectedRow>,
    /// Rows whose name replaced another.
    pub warnings: Vec<RowWarning>,
}

impl Chunk {
    /// Whether the import has no more rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.rejected.is_empty()
    }
}

impl MergedRows {
    /// Starts before the first sku.
    #[must_use]
    pub fn new(import_id: Uuid) -> Self {
        Self { import_id, page: Vec::new().into_iter(), position: (String::new(), 0), current: None, rows_read: 0 }
    }

    /// Number of staged rows read so far.
    #[must_use]
    pub fn rows_read(&self) -> u64 {
        self.rows_read
    }

    /// Reads the next products. The chunk is empty after the last.
    ///
    /// # Errors
    /// If the database fails or a staged row cannot be read back.
    pub async fn next_chunk(&mut self, connection: &mut PgConnection, rules: &Rules) -> Result<Chunk, Error> {
        let mut chunk = Chunk::default();
        let mut bytes = 0;
        while let Some(staged) = self.next(connection).await? {
            bytes += staged.document.len();
            let number = u64::try_from(staged.row).unwrap_or_default();
            let row: ValidRow = serde_json::from_str(&staged.document)?;
            match &mut self.current {
                Some(current) if current.row.sku == row.sku => {
                    let warning = name_warning(current, number, &row);
                    match current.row.merge(row, rules) {
                        Ok(()) => {
                            (current.last, current.count) = (number, current.count + 1);
                            chunk.warnings.extend(warning);
                        }
                        Err(fault) => chunk.rejected.push(RejectedRow::new(number, vec![fault])),
                    }
                }
                current => {
                    let complete = current.replace(Merged { row, last: number, count: 1 });
                    chunk.rows.extend(complete);
                    if chunk.rows.len() >= CHUNK_PRODUCTS || bytes >= CHUNK_BYTES {
                        return Ok(chunk);
                    }
                }
            }
        }
        chunk.rows.extend(self.current.take());
        Ok(chunk)
    }

    async fn next(&mut self, connection: &mut PgConnection) -> Result<Option<StagedRow>, sqlx::Error> {
        if self.page.as_slice().is_empty() {
            let page = staging::read_page(connection, self.import_id, &self.position.0, self.position.1).await?;
            self.rows_read += page.len() as u64;
            if let Some(last) = page.last() {
                self.position = (last.sku.clone(), last.row);
            }
            self.page = page.into_iter();
        }
        Ok(self.page.next())
    }
}

#[cfg(test)]
mod tests;
