//! Rows of one sku become one: what a later row gives wins, categories and attributes are united.
//! So importing the same rows again finds every product as it should be.

use std::{collections::BTreeMap, vec};

use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Error,
    report::{Fault, Refusal, RowWarning},
    row::{Given, ImportRow},
    staging::{self, StagedRow},
};
use crate::products::rules::{self, Rules};

/// Products per transaction, at most.
const CHUNK_PRODUCTS: usize = 500;
/// Bytes of rows per transaction, about.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;

/// All rows of one sku.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// What they say together.
    pub row: ImportRow,
    /// Number of the last of them, from 1.
    pub last: u64,
    /// How many they are.
    pub count: u64,
}

impl ImportRow {
    /// Adds what a later row of the same sku says.
    ///
    /// # Errors
    /// If both together break a rule that each of them keeps; then nothing is added.
    pub fn merge(&mut self, later: Self, rules: &Rules) -> Result<(), Fault> {
        let fault = |pointer: &str, error: &garde::Error| Fault {
            pointer: pointer.to_owned(),
            detail: format!("together with the rows of this sku before it: {}", error.message()),
        };
        let categories = match (&self.categories, &later.categories) {
            (Given::Value(before), Given::Value(after)) => {
                let mut united = before.clone();
                united.extend(after.iter().filter(|category| !before.contains(category)).cloned());
                rules::categories(&united, rules).map_err(|error| fault("/categories", &error))?;
                Given::Value(united)
            }
            (before, after) => later_of(before, after),
        };
        let attributes = match (&self.attributes, &later.attributes) {
            (Given::Value(before), Given::Value(after)) => {
                let mut united = before.clone();
                united.extend(after.clone());
                let set: BTreeMap<String, String> =
                    united.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect();
                rules::attributes(&set, rules).map_err(|error| fault("/attributes", &error))?;
                Given::Value(united)
            }
            (before, after) => later_of(before, after),
        };
        *self = Self {
            categories,
            attributes,
            brand: later_of(&self.brand, &later.brand),
            description: later_of(&self.description, &later.description),
            url: later_of(&self.url, &later.url),
            released_on: later_of(&self.released_on, &later.released_on),
            quantity: later.quantity.or(self.quantity),
            ..later
        };
        Ok(())
    }
}

fn later_of<T: Clone>(before: &Given<T>, after: &Given<T>) -> Given<T> {
    if after.is_given() { after.clone() } else { before.clone() }
}

/// The warning that a later row of the same sku has another name.
fn other_name(open: &Merged, number: u64, later: &ImportRow) -> Option<RowWarning> {
    let ImportRow { sku, name, .. } = later;
    let (before, last) = (&open.row.name, open.last);
    (before != name).then(|| RowWarning {
        row: number,
        sku: sku.clone(),
        detail: format!("row {number} and row {last} have the sku {sku:?} and different names: {name:?} replaced {before:?}"),
    })
}

/// Walks the staged rows of an import by sku.
pub struct MergedRows {
    import_id: Uuid,
    page: vec::IntoIter<StagedRow>,
    after: (String, i64),
    open: Option<Merged>,
    read: u64,
}

/// Some products' worth of rows.
#[derive(Default)]
pub struct Chunk {
    /// By sku, each sku once.
    pub rows: Vec<Merged>,
    /// Rows that don't go together with the rows before them.
    pub refusals: Vec<Refusal>,
    /// Rows whose name replaced another.
    pub warnings: Vec<RowWarning>,
}

impl Chunk {
    /// Whether there is nothing left to do.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.refusals.is_empty()
    }
}

impl MergedRows {
    /// Starts with the first sku.
    #[must_use]
    pub fn new(import_id: Uuid) -> Self {
        Self { import_id, page: Vec::new().into_iter(), after: (String::new(), 0), open: None, read: 0 }
    }

    /// How many staged rows have been read.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.read
    }

    /// The next products; none once all are done.
    ///
    /// # Errors
    /// If the database fails, or gives back what was never staged.
    pub async fn chunk(&mut self, connection: &mut PgConnection, rules: &Rules) -> Result<Chunk, Error> {
        let mut chunk = Chunk::default();
        let mut bytes = 0;
        while let Some(staged) = self.next(connection).await? {
            bytes += staged.document.len();
            let number = u64::try_from(staged.row).unwrap_or_default();
            let row: ImportRow = serde_json::from_str(&staged.document)?;
            match &mut self.open {
                Some(open) if open.row.sku == row.sku => {
                    let warning = other_name(open, number, &row);
                    match open.row.merge(row, rules) {
                        Ok(()) => {
                            (open.last, open.count) = (number, open.count + 1);
                            chunk.warnings.extend(warning);
                        }
                        Err(fault) => chunk.refusals.push(Refusal::of_row(number, vec![fault])),
                    }
                }
                open => {
                    let complete = open.replace(Merged { row, last: number, count: 1 });
                    chunk.rows.extend(complete);
                    if chunk.rows.len() >= CHUNK_PRODUCTS || bytes >= CHUNK_BYTES {
                        return Ok(chunk);
                    }
                }
            }
        }
        chunk.rows.extend(self.open.take());
        Ok(chunk)
    }

    async fn next(&mut self, connection: &mut PgConnection) -> Result<Option<StagedRow>, sqlx::Error> {
        if self.page.as_slice().is_empty() {
            let page = staging::page(connection, self.import_id, &self.after.0, self.after.1).await?;
            self.read += page.len() as u64;
            if let Some(last) = page.last() {
                self.after = (last.sku.clone(), last.row);
            }
            self.page = page.into_iter();
        }
        Ok(self.page.next())
    }
}

#[cfg(test)]
mod tests;
