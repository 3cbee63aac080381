//! Formats the report of an import.

use std::{collections::BTreeMap, fmt::Write, ops::ControlFlow};

use catalog_rows::Fault;
use serde_json::Value;

use super::{
    client::{Outcome, RowError},
    mapping::{Mapped, Mapping},
    source::{ParsedRow, Source},
};

/// A rejected row, read again from the file.
#[derive(Default)]
struct FileRow {
    /// Name or sku.
    label: Option<String>,
    /// Errors because of which the row was not sent.
    faults: Vec<Fault>,
}

/// Formats one line per error, with the name or sku of the row.
#[must_use]
pub fn errors(outcome: &Outcome, source: &Source, mapping: &Mapping) -> String {
    let rows = read_rejected_rows(&outcome.errors, source, mapping);
    let mut lines = String::new();
    for RowError { row, field, detail } in &outcome.errors {
        let file_row = rows.get(row);
        let label = file_row.and_then(|row| row.label.as_ref()).map(|label| format!(" {label:?}")).unwrap_or_default();
        let faults = file_row.map(|row| row.faults.as_slice()).unwrap_or_default();
        if !faults.is_empty() {
            for fault in faults {
                push(&mut lines, *row, &label, fault.field().as_deref(), &fault.detail);
            }
            continue;
        }
        match mapping.sku_from() {
            Some(from) if detail == "sku is missing" => {
                push(&mut lines, *row, &label, None, &format!("{detail}: it is generated from {from}, which is missing"));
            }
            _ => push(&mut lines, *row, &label, field.as_deref(), detail),
        }
    }
    let listed = outcome.errors.iter().map(|error| error.row).collect::<std::collections::BTreeSet<_>>().len() as u64;
    if outcome.failed > listed {
        let _ = writeln!(lines, "… and {} more rows", outcome.failed - listed);
    }
    lines
}

/// Formats one line per warning.
#[must_use]
pub fn warnings(outcome: &Outcome) -> String {
    let mut lines = String::new();
    for warning in &outcome.warnings {
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "warning: {}", warning.detail);
    }
    if outcome.more_warnings > 0 {
        let _ = writeln!(lines, "… and {} more warnings", outcome.more_warnings);
    }
    lines
}

/// Appends a line about a row. The field is left out if the detail starts with it.
pub fn push(lines: &mut String, row: u64, label: &str, field: Option<&str>, detail: &str) {
    let field = field.filter(|field| !detail.starts_with(field)).map(|field| format!(" {field}:")).unwrap_or_default();
    // Writing to a string cannot fail.
    let _ = writeln!(lines, "row {row}{label}:{field} {detail}");
}

/// Formats the outcome in one line.
#[must_use]
pub fn summary(outcome: &Outcome) -> String {
    let Outcome { created, updated, unchanged, failed, .. } = outcome;
    let summary = format!("{created} created, {updated} updated, {unchanged} unchanged, {failed} {} rejected", rows(*failed));
    if outcome.blank == 0 { summary } else { format!("{summary}, {} blank {} skipped", outcome.blank, rows(outcome.blank)) }
}

/// Returns "row" or "rows".
#[must_use]
pub fn rows(count: u64) -> &'static str {
    if count == 1 { "row" } else { "rows" }
}

/// Reads the file again for the rejected rows, because keeping all rows in memory while sending would be unbounded.
fn read_rejected_rows(errors: &[RowError], source: &Source, mapping: &Mapping) -> BTreeMap<u64, FileRow> {
    let mut file_rows: BTreeMap<u64, FileRow> = errors.iter().map(|error| (error.row, FileRow::default())).collect();
    let Some(last) = file_rows.keys().next_back().copied() else { return file_rows };
    // If the file has changed, only the labels are wrong.
    let _ = source.read(mapping, |file| file, &mut |row, found| {
        if let Some(entry) = file_rows.get_mut(&row) {
            *entry = match found {
                ParsedRow::Record(record) => {
                    let Mapped { row, faults } = mapping.row(&record);
                    FileRow { label: label(&row, mapping), faults }
                }
                ParsedRow::Unreadable(reason) => FileRow { label: None, faults: vec![Fault::of_row(reason)] },
                ParsedRow::Blank => FileRow::default(),
            };
        }
        if row < last { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    file_rows
}

fn label(row: &Value, mapping: &Mapping) -> Option<String> {
    let text = |field: &str| row.get(field).and_then(Value::as_str);
    // A generated sku is unknown to the user.
    let id = mapping.sku_from().map_or("sku".to_owned(), ToString::to_string);
    text("name").or_else(|| text(&id)).map(|text| text.chars().take(60).collect())
}
