//! What the person at the terminal reads.

use std::{collections::BTreeMap, fmt::Write, ops::ControlFlow};

use serde_json::Value;

use super::{
    client::{Outcome, RowError},
    mapping::Mapping,
    source::Source,
};

/// What the file says of a row that was refused.
#[derive(Default)]
struct Known {
    /// Its name or sku.
    label: Option<String>,
    /// Why it couldn't even be read.
    unreadable: Option<String>,
}

/// One line for every error, with what the file says of its row.
#[must_use]
pub fn errors(outcome: &Outcome, source: &Source, mapping: &Mapping) -> String {
    let known = look_up(&outcome.errors, source, mapping);
    let mut lines = String::new();
    for RowError { row, field, detail } in &outcome.errors {
        let known = known.get(row);
        let label = known.and_then(|known| known.label.as_ref()).map(|label| format!(" {label:?}")).unwrap_or_default();
        let detail = known.and_then(|known| known.unreadable.as_ref()).unwrap_or(detail);
        let field =
            field.as_ref().filter(|field| !detail.starts_with(field.as_str())).map(|field| format!(" {field}:")).unwrap_or_default();
        let made_of = match mapping.sku_from() {
            Some(from) if detail == "sku is missing" => format!(", because {from} is, which it is made of"),
            _ => String::new(),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "row {row}{label}:{field} {detail}{made_of}");
    }
    let listed = outcome.errors.iter().map(|error| error.row).collect::<std::collections::BTreeSet<_>>().len() as u64;
    if outcome.failed > listed {
        let _ = writeln!(lines, "… and {} more rows", outcome.failed - listed);
    }
    lines
}

/// One line for every warning.
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

/// The outcome in one line.
#[must_use]
pub fn summary(outcome: &Outcome) -> String {
    let Outcome { created, updated, unchanged, failed, .. } = outcome;
    let rows = if *failed == 1 { "row" } else { "rows" };
    format!("{created} created, {updated} updated, {unchanged} unchanged, {failed} {rows} refused")
}

/// Reads the file once more for the rows in question: keeping all of them while sending could take any memory.
fn look_up(errors: &[RowError], source: &Source, mapping: &Mapping) -> BTreeMap<u64, Known> {
    let mut known: BTreeMap<u64, Known> = errors.iter().map(|error| (error.row, Known::default())).collect();
    let Some(last) = known.keys().next_back().copied() else { return known };
    // A file that has changed meanwhile only costs the labels.
    let _ = source.read(mapping, |file| file, &mut |row, found| {
        if let Some(entry) = known.get_mut(&row) {
            *entry = match found {
                Ok(record) => Known { label: label(&mapping.row(&record), mapping), unreadable: None },
                Err(why) => Known { label: None, unreadable: Some(why) },
            };
        }
        if row < last { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    known
}

fn label(row: &Value, mapping: &Mapping) -> Option<String> {
    let text = |field: &str| row.get(field).and_then(Value::as_str);
    // Nobody knows a sku that was just made up.
    let own = mapping.sku_from().map_or("sku".to_owned(), ToString::to_string);
    text("name").or_else(|| text(&own)).map(|text| text.chars().take(60).collect())
}
