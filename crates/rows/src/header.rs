//! The header of a CSV file.

use std::collections::HashSet;

use catalog_values::text::Text;

use crate::{
    columns::{MAX_COLUMNS, clip},
    csv::CsvRecord,
};

/// Reads the trimmed names of a header. Several columns can have an empty name.
///
/// # Errors
/// If there are more than [`MAX_COLUMNS`], or for each repeated name.
pub fn names(header: CsvRecord<'_>) -> Result<Vec<String>, Vec<String>> {
    if header.cell_count() > MAX_COLUMNS {
        return Err(vec![format!("the header has {} columns, and at most {MAX_COLUMNS} are allowed; remove some", header.cell_count())]);
    }
    let names: Vec<String> = header.cells().map(|name| name.trim().to_owned().into_nfc()).collect();
    let mut known = HashSet::new();
    let twice = names.iter().filter(|name| !name.is_empty() && !known.insert(name.as_str()));
    let twice: Vec<_> = twice.map(|name| format!("the column {:?} occurs twice; rename or remove one of them", clip(name))).collect();
    if twice.is_empty() { Ok(names) } else { Err(twice) }
}
