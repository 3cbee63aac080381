//! Comma-separated values with a header line (RFC 4180).

use std::{collections::BTreeMap, fmt, io::Read, ops::ControlFlow, str::FromStr};

use csv::{ByteRecord, ReaderBuilder};

use super::{
    MAX_ROW, ReadError,
    limit::{Limited, RowBytes},
    quotes::Quotes,
};
use crate::{
    products::import::{
        report::Fault,
        row::{Given, RowDocument, RowPrice},
    },
    text::Text,
};

/// What the CSV reader may hold beyond one row.
const BUFFER: usize = 64 * 1024;
/// Wrong columns named at most.
const MAX_COMPLAINTS: usize = 20;
/// Between the categories of a cell.
const SEPARATOR: char = '|';

/// A column of an import: a field of a product, or one of its attributes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Column {
    /// `sku`
    Sku,
    /// `name`
    Name,
    /// `brand`
    Brand,
    /// `description`
    Description,
    /// `categories`, separated by `|`
    Categories,
    /// `price`: the amount
    Price,
    /// `currency` of the price
    Currency,
    /// `url`
    Url,
    /// `released_on`
    ReleasedOn,
    /// `quantity`
    Quantity,
    /// `attributes.<name>`
    Attribute(String),
}

impl Column {
    /// Every column but the attributes.
    pub const FIELDS: [(&'static str, Self); 10] = [
        ("sku", Self::Sku),
        ("name", Self::Name),
        ("brand", Self::Brand),
        ("description", Self::Description),
        ("categories", Self::Categories),
        ("price", Self::Price),
        ("currency", Self::Currency),
        ("url", Self::Url),
        ("released_on", Self::ReleasedOn),
        ("quantity", Self::Quantity),
    ];
}

impl FromStr for Column {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        if let Some(attribute) = name.strip_prefix("attributes.").filter(|attribute| !attribute.is_empty()) {
            return Ok(Self::Attribute(attribute.to_owned().into_nfc()));
        }
        Self::FIELDS.into_iter().find(|(known, _)| *known == name).map(|(_, column)| column).ok_or(())
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attribute(name) => write!(f, "attributes.{name}"),
            field => f.write_str(Self::FIELDS.iter().find(|(_, column)| column == field).map_or("", |(name, _)| name)),
        }
    }
}

/// Hands every row to `each`, numbered from 1. A row that isn't like its header is a fault of its own.
///
/// # Errors
/// See [`ReadError`].
pub fn read<R: Read>(source: R, each: &mut dyn FnMut(u64, Result<RowDocument, Vec<Fault>>) -> ControlFlow<()>) -> Result<(), ReadError> {
    let limit = MAX_ROW + 2 * BUFFER;
    let bytes = RowBytes::default();
    let (quotes, open_quote) = Quotes::new(Limited::new(source, limit, bytes.clone()), b',');
    let mut reader = ReaderBuilder::new().flexible(true).buffer_capacity(BUFFER).from_reader(quotes);
    let fail = |error: csv::Error, row| match error.into_kind() {
        csv::ErrorKind::Io(_) if bytes.exceed(limit) => ReadError::TooLarge { row },
        csv::ErrorKind::Io(error) => ReadError::Interrupted(error),
        // Only reading fails: lengths are checked here, and bytes need not be UTF-8 there.
        other => ReadError::Interrupted(std::io::Error::other(format!("{other:?}"))),
    };
    let header = reader.byte_headers().map_err(|error| fail(error, 1))?;
    if let Some(line) = open_quote.at_end() {
        return Err(ReadError::OpenQuote { row: 1, line });
    }
    let columns = columns(header)?;
    let mut record = ByteRecord::new();
    let mut row = 0;
    loop {
        bytes.reset();
        if !reader.read_byte_record(&mut record).map_err(|error| fail(error, row + 1))? {
            return Ok(());
        }
        row += 1;
        let start = record.position().map_or(0, csv::Position::byte);
        if reader.position().byte().saturating_sub(start) > MAX_ROW as u64 + 2 {
            return Err(ReadError::TooLarge { row });
        }
        // It takes everything up to the end of the file, so this row is the last.
        if let Some(line) = open_quote.at_end() {
            return Err(ReadError::OpenQuote { row, line });
        }
        if each(row, document(&columns, &record)).is_break() {
            return Err(ReadError::Stopped);
        }
    }
}

fn columns(header: &ByteRecord) -> Result<Vec<Column>, ReadError> {
    let mut columns = Vec::with_capacity(header.len());
    let mut complaints = Vec::new();
    for (index, name) in header.iter().enumerate() {
        let name = String::from_utf8_lossy(name);
        match name.trim().parse::<Column>() {
            Ok(column) if columns.contains(&column) => complaints.push(format!("the column {column} is there twice")),
            Ok(column) => columns.push(column),
            Err(()) => {
                let clipped: String = name.chars().take(64).collect();
                complaints.push(format!("the column {clipped:?} (number {}) is not known", index + 1));
            }
        }
        if complaints.len() == MAX_COMPLAINTS {
            break;
        }
    }
    if complaints.is_empty() && !header.is_empty() {
        let required = [Column::Sku, Column::Name, Column::Price].into_iter().filter(|column| !columns.contains(column));
        complaints.extend(required.map(|column| format!("the column {column} is missing")));
    }
    if complaints.is_empty() { Ok(columns) } else { Err(ReadError::Columns(complaints)) }
}

fn document(columns: &[Column], record: &ByteRecord) -> Result<RowDocument, Vec<Fault>> {
    if record.len() != columns.len() {
        return Err(vec![Fault::of_row(format!("has {} cells, and the header has {}", record.len(), columns.len()))]);
    }
    let mut document = RowDocument::default();
    let mut currency = None;
    let mut attributes = BTreeMap::new();
    let mut faults = Vec::new();
    for (column, cell) in columns.iter().zip(record) {
        let Ok(cell) = std::str::from_utf8(cell) else {
            faults.push(Fault { pointer: pointer(column), detail: "not valid UTF-8".into() });
            continue;
        };
        if cell.is_empty() {
            continue;
        }
        let text = || cell.to_owned();
        match column {
            Column::Sku => document.sku = Some(text()),
            Column::Name => document.name = Some(text()),
            Column::Brand => document.brand = Given::Value(text()),
            Column::Description => document.description = Given::Value(text()),
            Column::Categories => document.categories = Given::Value(categories(cell)),
            Column::Price => document.price = Some(RowPrice { amount: text(), currency: None }),
            Column::Currency => currency = Some(text()),
            Column::Url => document.url = Given::Value(text()),
            Column::ReleasedOn => document.released_on = Given::Value(text()),
            Column::Quantity => {
                if let Ok(quantity) = cell.parse() {
                    document.quantity = Some(quantity);
                } else {
                    let clipped: String = cell.chars().take(32).collect();
                    faults.push(Fault { pointer: pointer(column), detail: format!("give a whole number, not {clipped:?}") });
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
        document.attributes = Given::Value(attributes);
    }
    if faults.is_empty() { Ok(document) } else { Err(faults) }
}

fn categories(cell: &str) -> Vec<String> {
    cell.split(SEPARATOR).map(str::trim).filter(|category| !category.is_empty()).map(str::to_owned).collect()
}

fn pointer(column: &Column) -> String {
    match column {
        Column::Attribute(name) => format!("/attributes/{}", name.replace('~', "~0").replace('/', "~1")),
        Column::Currency => "/price/currency".into(),
        field => format!("/{field}"),
    }
}
