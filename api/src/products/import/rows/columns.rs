//! CSV columns: the fields that they set, and the rules of headers.

use std::{collections::HashSet, fmt, str::FromStr};

use super::csv::CsvRecord;
use crate::{products::rules::MAX_ATTRIBUTES, text::Text};

/// Maximum number of columns: all fields, and the maximum number of attributes of a product.
pub const MAX_COLUMNS: usize = Column::FIELDS.len() + MAX_ATTRIBUTES;

/// A CSV column: a field of a product or one of its attributes.
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
    /// All columns except attributes.
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
        if let Some(attribute) = name.strip_prefix("attributes.").map(str::trim_start).filter(|attribute| !attribute.is_empty()) {
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

/// Shortens a column name for messages.
#[must_use]
pub fn clip(name: &str) -> &str {
    name.char_indices().nth(64).map_or(name, |(end, _)| &name[..end])
}
