//! Conversion of CSV cells into product fields.

use std::{collections::BTreeMap, io::BufRead};

use catalog_rows::{
    Column, Fault, ReadError, clip,
    csv::{CsvReader, CsvRecord},
    names, pointer, quantity, quantity_error,
};

use super::{Row, RowHandler};
use crate::products::import::row::{FieldUpdate, RowDocument, RowPrice};

/// Maximum number of reported columns.
const MAX_ERRORS: usize = 20;
/// Separator of the categories in a cell.
const SEPARATOR: char = '|';

/// Passes every row to `each`, numbered from 1. A row whose cells do not match the header is passed as unreadable.
///
/// # Errors
/// See [`ReadError`].
pub fn read_rows<R: BufRead>(source: R, each: RowHandler<'_>) -> Result<(), ReadError> {
    let mut reader = CsvReader::new(source, b',');
    let Some(header) = reader.read_header()? else { return Ok(()) };
    let columns = columns(header).map_err(ReadError::Columns)?;
    while let Some(record) = reader.read()? {
        let row = if record.is_blank() { Row::Blank } else { document(&columns, record).into() };
        if each(record.row, row).is_break() {
            return Err(ReadError::Stopped);
        }
    }
    Ok(())
}

fn columns(header: CsvRecord<'_>) -> Result<Vec<Column>, Vec<String>> {
    let names = names(header)?;
    let mut columns = Vec::with_capacity(names.len());
    let mut errors = Vec::new();
    for (index, name) in names.iter().enumerate() {
        match name.parse() {
            Ok(column) => columns.push(column),
            Err(()) => errors.push(format!("the column {:?} (number {}) is unknown", clip(name), index + 1)),
        }
    }
    if errors.is_empty() {
        let required = [Column::Sku, Column::Name, Column::Price].into_iter().filter(|column| !columns.contains(column));
        errors.extend(required.map(|column| format!("the column {column} is missing")));
    }
    errors.truncate(MAX_ERRORS);
    if errors.is_empty() { Ok(columns) } else { Err(errors) }
}

fn document(columns: &[Column], record: CsvRecord<'_>) -> Result<RowDocument, Vec<Fault>> {
    if record.cell_count() != columns.len() {
        return Err(vec![Fault::of_row(format!("has {} cells, and the header has {}", record.cell_count(), columns.len()))]);
    }
    let mut document = RowDocument::default();
    let mut currency = None;
    let mut attributes = BTreeMap::new();
    let mut faults = Vec::new();
    for (column, cell) in columns.iter().zip(record.cells()) {
        if cell.is_empty() {
            continue;
        }
        let text = || cell.to_owned();
        match column {
            Column::Sku => document.sku = Some(text()),
            Column::Name => document.name = Some(text()),
            Column::Brand => document.brand = FieldUpdate::Value(text()),
            Column::Description => document.description = FieldUpdate::Value(text()),
            Column::Categories => document.categories = FieldUpdate::Value(categories(cell)),
            Column::Price => document.price = Some(RowPrice { amount: text(), currency: None }),
            Column::Currency => currency = Some(text()),
            Column::Url => document.url = FieldUpdate::Value(text()),
            Column::ReleasedOn => document.released_on = FieldUpdate::Value(text()),
            Column::Quantity => {
                document.quantity = quantity(cell);
                if document.quantity.is_none() {
                    faults.push(Fault { pointer: pointer(column), detail: quantity_error(cell) });
                }
            }
            Column::Attribute(name) => {
                attributes.insert(name.clone(), Some(text()));
            }
        }
    }
    if let Some(price) = &mut document.price {
        price.currency = currency;
    }
    if !attributes.is_empty() {
        document.attributes = FieldUpdate::Value(attributes);
    }
    if faults.is_empty() { Ok(document) } else { Err(faults) }
}

fn categories(cell: &str) -> Vec<String> {
    cell.split(SEPARATOR).map(str::trim).filter(|category| !category.is_empty()).map(str::to_owned).collect()
}
