//! What became of the rows of an import.

use serde::Serialize;
use utoipa::ToSchema;

use crate::http::problem::FieldError;

/// Errors listed at most; beyond, they are counted.
pub const MAX_ERRORS: usize = 1000;
/// Warnings listed at most; beyond, they are counted.
pub const MAX_WARNINGS: usize = 100;

/// One thing wrong with a row, or with one of its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// JSON pointer below the row; empty for the row as a whole.
    pub pointer: String,
    /// What is wrong and what is allowed.
    pub detail: String,
}

impl Fault {
    /// A fault of the row as a whole.
    pub fn of_row(detail: impl Into<String>) -> Self {
        Self { pointer: String::new(), detail: detail.into() }
    }

    /// The field, such as `price.amount`; `None` for the row as a whole.
    #[must_use]
    pub fn field(&self) -> Option<String> {
        self.pointer.strip_prefix('/').map(|path| path.replace('/', ".").replace("~1", "/").replace("~0", "~"))
    }
}

impl From<FieldError> for Fault {
    fn from(error: FieldError) -> Self {
        Self { pointer: error.pointer.unwrap_or_default(), detail: error.detail }
    }
}

/// Rows that were refused, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Number of the row, from 1; of several, the last.
    pub row: u64,
    /// How many rows it stands for: those of one sku can be refused together.
    pub count: u64,
    /// At least one.
    pub faults: Vec<Fault>,
}

impl Refusal {
    /// One row is refused.
    #[must_use]
    pub fn of_row(row: u64, faults: Vec<Fault>) -> Self {
        Self { row, count: 1, faults }
    }
}

/// One error of one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = BulkError)]
pub struct RowError {
    /// Number of the row, from 1.
    #[schema(minimum = 1, example = 17)]
    pub row: u64,
    /// The field, such as `price.amount`; null for the row as a whole.
    #[schema(required, example = "price.amount")]
    pub field: Option<String>,
    /// What is wrong and what is allowed.
    pub detail: String,
    /// JSON pointer below the row.
    #[serde(skip)]
    #[schema(ignore)]
    pub pointer: String,
}

/// Something about a row that was imported nevertheless.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = BulkWarning)]
pub struct RowWarning {
    /// Number of the row, from 1.
    #[schema(minimum = 1, example = 18)]
    pub row: u64,
    /// The row's sku.
    #[schema(example = "90420332")]
    pub sku: String,
    /// What was done.
    #[schema(example = "row 18 and row 17 have the sku \"90420332\" and different names: \"Bar stool\" replaced \"Bar table\"")]
    pub detail: String,
}

/// What an import did.
#[derive(Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = BulkResult)]
pub struct ImportResult {
    /// Products created.
    pub created: u64,
    /// Products changed, or whose quantity was.
    pub updated: u64,
    /// Products that were already as given.
    pub unchanged: u64,
    /// Rows rejected.
    pub failed: u64,
    /// Blank rows, which were skipped: empty lines of NDJSON and CSV, and rows of CSV without anything in their cells.
    pub blank: u64,
    /// Why rows were rejected, by row: at most 1,000 errors.
    #[schema(max_items = 1000)]
    pub errors: Vec<RowError>,
    /// How many errors there are beyond those listed.
    pub more_errors: u64,
    /// Rows of one sku with different names, which were merged: the name of the last row was taken. By row, at most 100.
    #[schema(max_items = 100)]
    pub warnings: Vec<RowWarning>,
    /// How many warnings there are beyond those listed.
    pub more_warnings: u64,
}

impl ImportResult {
    /// Adds rows that were rejected.
    pub fn refuse(&mut self, refusals: impl IntoIterator<Item = Refusal>) {
        for Refusal { row, count, faults } in refusals {
            self.failed += count;
            let room = MAX_ERRORS - self.errors.len();
            self.more_errors += faults.len().saturating_sub(room) as u64;
            self.errors.extend(faults.into_iter().take(room).map(|fault| RowError {
                row,
                field: fault.field(),
                detail: fault.detail,
                pointer: fault.pointer,
            }));
        }
    }

    /// Adds warnings.
    pub fn warn(&mut self, warnings: Vec<RowWarning>) {
        let room = MAX_WARNINGS - self.warnings.len();
        self.more_warnings += warnings.len().saturating_sub(room) as u64;
        self.warnings.extend(warnings.into_iter().take(room));
    }

    /// Sorts errors and warnings by row: some are only found when rows of one sku are merged.
    pub fn sort(&mut self) {
        self.errors.sort_by_key(|error| error.row);
        self.warnings.sort_by_key(|warning| warning.row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_beyond_the_listed_ones_are_counted() {
        let mut result = ImportResult::default();
        let two = || vec![Fault::of_row("broken"), Fault { pointer: "/price/amount".into(), detail: "bad".into() }];
        result.refuse((1..=2000).rev().map(|row| Refusal::of_row(row, two())));
        result.sort();
        assert_eq!((result.failed, result.errors.len(), result.more_errors), (2000, MAX_ERRORS, 3000));
        assert_eq!((result.errors[0].row, result.errors[0].field.as_deref()), (1501, None));
        assert_eq!(result.errors[1].field.as_deref(), Some("price.amount"));
    }

    #[test]
    fn warnings_beyond_the_listed_ones_are_counted() {
        let mut result = ImportResult::default();
        let warning = |row| RowWarning { row, sku: "A".into(), detail: String::new() };
        result.warn((1..=60).rev().map(warning).collect());
        result.warn((61..=130).map(warning).collect());
        result.sort();
        assert_eq!((result.warnings.len(), result.more_warnings, result.warnings[0].row), (MAX_WARNINGS, 30, 1));
    }
}
