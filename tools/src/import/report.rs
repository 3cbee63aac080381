//! The report on the terminal.

use std::{collections::BTreeMap, fmt::Write, ops::ControlFlow};

use serde_json::Value;

use super::{
    client::{Outcome, RowError},
    mapping::{Mapped, Mapping},
    source::{Found, Source},
};
use catalog::products::import::Fault;

/// What the file has for a rejected row.
#[derive(Default)]
struct Known {
    /// Its name or sku.
    label: Option<String>,
    /// Why it was not sent.
    faults: Vec<Fault>,
}

/// One line for every error, with what the file says of its row.
#[must_use]
pub fn errors(outcome: &Outcome, source: &Source, mapping: &Mapping) -> String {
    let known = look_up(&outcome.errors, source, mapping);
    let mut lines = String::new();
    for RowError { row, field, detail } in &outcome.errors {
        let known = known.get(row);
        let label = known.and_then(|known| known.label.as_ref()).map(|label| format!(" {label:?}")).unwrap_or_default();
        let faults = known.map(|known| known.faults.as_slice()).unwrap_or_default();
        if !faults.is_empty() {
            for fault in faults {
                push(&mut lines, *row, &label, fault.field().as_deref(), &fault.detail);
            }
            continue;
        }
        match mapping.sku_from() {
            Some(from) if detail == "sku is missing" => {
                push(&mut lines, *row, &label, None, &format!("{detail}, because {from} is, which it is made of"));
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

/// One line about a row, or about one of its fields unless the detail names it.
pub fn push(lines: &mut String, row: u64, label: &str, field: Option<&str>, detail: &str) {
    let field = field.filter(|field| !detail.starts_with(field)).map(|field| format!(" {field}:")).unwrap_or_default();
    // Writing to a string cannot fail.
    let _ = writeln!(lines, "row {row}{label}:{field} {detail}");
}

/// The outcome in one line.
#[must_use]
pub fn summary(outcome: &Outcome) -> String {
    let Outcome { created, updated, unchanged, failed, .. } = outcome;
    let summary = format!("{created} created, {updated} updated, {unchanged} unchanged, {failed} {} rejected", rows(*failed));
    if outcome.blank == 0 { summary } else { format!("{summary}, {} blank {} skipped", outcome.blank, rows(outcome.blank)) }
}

/// The word for so many rows.
#[must_use]
pub fn rows(count: u64) -> &'static str {
    if count == 1 { "row" } else { "rows" }
}

/// Reads the file once more for the rows in question: keeping all of them while sending could take any memory.
fn look_up(errors: &[RowError], source: &Source, mapping: &Mapping) -> BTreeMap<u64, Known> {
    let mut known: BTreeMap<u64, Known> = errors.iter().map(|error| (error.row, Known::default())).collect();
    let Some(last) = known.keys().next_back().copied() else { return known };
    // A file that has changed meanwhile only costs the labels.
    let _ = source.read(mapping, |file| file, &mut |row, found| {
        if let Some(entry) = known.get_mut(&row) {
            *entry = match found {
                Found::Record(record) => {
                    let Mapped { row, faults } = mapping.row(&record);
                    Known { label: label(&row, mapping), faults }
                }
                Found::Unreadable(why) => Known { label: None, faults: vec![Fault::of_row(why)] },
                Found::Blank => Known::default(),
            };
        }
        if row < last { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    known
}

fn label(row: &Value, mapping: &Mapping) -> Option<String> {
    let text = |field: &str| row.get(field).and_then(Value::as_str);
    // A generated sku means nothing to the user.
    let own = mapping.sku_from().map_or("sku".to_owned(), ToString::to_string);
    text("name").or_else(|| text(&own)).map(|text| text.chars().take(60).collect())
}
