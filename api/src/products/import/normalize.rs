//! Unicode normalisation (NFC) of rows, for all formats.

use catalog_values::text::Text;

use super::row::{FieldUpdate, RowDocument};

impl<T: Text> Text for FieldUpdate<T> {
    fn into_nfc(self) -> Self {
        match self {
            Self::Value(value) => Self::Value(value.into_nfc()),
            other => other,
        }
    }
}

impl Text for RowDocument {
    fn into_nfc(self) -> Self {
        // Without `..`, so that a new field fails to compile until it is handled.
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
