//! CSV columns: the fields that they set.

use std::{fmt, str::FromStr};

use catalog_values::{json_pointer::escape, product::MAX_ATTRIBUTES, text::Text};

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

/// Shortens a column name for messages.
#[must_use]
pub fn clip(name: &str) -> &str {
    name.char_indices().nth(64).map_or(name, |(end, _)| &name[..end])
}

/// JSON pointer of the field that a column sets.
#[must_use]
pub fn pointer(column: &Column) -> String {
    match column {
        Column::Attribute(name) => format!("/attributes/{}", escape(name)),
        Column::Currency => "/price/currency".into(),
        field => format!("/{field}"),
    }
}
