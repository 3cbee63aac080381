//! The text of a row in NFC, whichever format it was written in.

use super::row::{Given, RowDocument};
use crate::text::Text;

impl<T: Text> Text for Given<T> {
    fn into_nfc(self) -> Self {
        match self {
            Self::Value(value) => Self::Value(value.into_nfc()),
            other => other,
        }
    }
}

impl Text for RowDocument {
    fn into_nfc(self) -> Self {
        // All fields are named, so that a new one cannot be forgotten.
        let Self { sku, name, brand, description, categories, price, url, released_on, attributes, quantity } = self;
        Self {
            sku: sku.into_nfc(),
            name: name.into_nfc(),
            brand: brand.into_nfc(),
            description: description.into_nfc(),
            categories: categories.into_nfc(),
            price,
            url,
            released_on,
            attributes: attributes.into_nfc(),
            quantity,
        }
    }
}
