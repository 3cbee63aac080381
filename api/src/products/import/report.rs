//! Result of an import.

use catalog_rows::Fault;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::problem::FieldError;

/// Maximum number of listed errors; further ones are counted.
pub const MAX_ERRORS: usize = 1000;
/// Maximum number of listed warnings; further ones are counted.
pub const MAX_WARNINGS: usize = 100;

impl From<FieldError> for Fault {
    fn from(error: FieldError) -> Self {
        Self { pointer: error.pointer.unwrap_or_default(), detail: error.detail }
    }
}

/// Rejected rows with their errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRow {
    /// Number of the row, from 1; of several rows, the last.
    pub row: u64,
    /// Number of rows: merged rows of one sku are rejected together.
    pub count: u64,
    /// Errors, at least one.
    pub faults: Vec<Fault>,
}

impl RejectedRow {
    /// Rejects a single row.
    #[must_use]
    pub fn new(row: u64, faults: Vec<Fault>) -> Self {
        Self { row, count: 1, faults }
    }
}

/// An error of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ImportError)]
pub struct RowError {
    /// Number of the row, from 1.
    #[schema(minimum = 1, example = 17)]
    pub row: u64,
    /// Field, such as `price.amount`; null for the whole row.
    #[schema(required, example = "price.amount")]
    pub field: Option<String>,
    /// What is wrong, and what is allowed.
    pub detail: String,
    /// JSON pointer into the row.
    #[serde(skip)]
    #[schema(ignore)]
    pub pointer: String,
}

/// A warning about a row that was imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ImportWarning)]
pub struct RowWarning {
    /// Number of the row, from 1.
    #[schema(minimum = 1, example = 18)]
    pub row: u64,
    /// Sku of the row.
    #[schema(example = "90420332")]
    pub sku: String,
    /// What was done.
    #[schema(example = "row 18 and row 17 have the sku \"90420332\" and different names: \"Bar stool\" replaced \"Bar table\"")]
    pub detail: String,
}

/// Result of an import.
#[derive(Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct ImportResult {
    /// Products created.
    pub created: u64,
    /// Products with changed fields or a new quantity.
    pub updated: u64,
    /// Products that already had the imported values.
    pub unchanged: u64,
    /// Number of rejected rows.
    pub failed: u64,
    /// Skipped blank rows: empty lines of NDJSON and CSV, and CSV rows with empty cells only.
    pub blank: u64,
    /// Errors of rejected rows, ordered by row: at most 1,000.
    #[schema(max_items = 1000)]
    pub errors: Vec<RowError>,
    /// Number of further errors.
    pub more_errors: u64,
    /// Rows with the same sku and different names, which were merged under the name of the last row. Ordered by row, at most 100.
    #[schema(max_items = 100)]
    pub warnings: Vec<RowWarning>,
    /// Number of further warnings.
    pub more_warnings: u64,
}

impl ImportResult {
    /// Adds rejected rows.
    pub fn add_rejected(&mut self, rejected: impl IntoIterator<Item = RejectedRow>) {
        for RejectedRow { row, count, faults } in rejected {
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
    pub fn add_warnings(&mut self, warnings: Vec<RowWarning>) {
        let room = MAX_WARNINGS - self.warnings.len();
        self.more_warnings += warnings.len().saturating_sub(room) as u64;
        self.warnings.extend(warnings.into_iter().take(room));
    }

    /// Sorts errors and warnings by row. Some are found out of order, when rows are merged.
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
        result.add_rejected((1..=2000).rev().map(|row| RejectedRow::new(row, two())));
        result.sort();
        assert_eq!((result.failed, result.errors.len(), result.more_errors), (2000, MAX_ERRORS, 3000));
        assert_eq!((result.errors[0].row, result.errors[0].field.as_deref()), (1501, None));
        assert_eq!(result.errors[1].field.as_deref(), Some("price.amount"));
    }

    #[test]
    fn warnings_beyond_the_listed_ones_are_counted() {
        let mut result = ImportResult::default();
        let warning = |row| RowWarning { row, sku: "A".into(), detail: String::new() };
        result.add_warnings((1..=60).rev().map(warning).collect());
        result.add_warnings((61..=130).map(warning).collect());
        result.sort();
        assert_eq!((result.warnings.len(), result.more_warnings, result.warnings[0].row), (MAX_WARNINGS, 30, 1));
    }
}
