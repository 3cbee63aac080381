//! Reading the rows of a JSON document as a stream.

use std::{
    fmt,
    io::{self, Read},
    ops::ControlFlow,
};

use catalog_values::json_pointer::escape;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{error::Category, value::RawValue};

use crate::{
    Fault, MAX_ROW, ReadError,
    byte_counter::{Limited, RowBytes},
};

/// Allowance for white space and punctuation around a row, in bytes.
const SLACK: usize = 64 * 1024;

/// Accepted documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `{"items": [...]}` without other fields.
    Items,
    /// Also `[...]`, and any fields besides `items`.
    Lenient,
}

/// Passes the text of every row to `each`, numbered from 1.
///
/// # Errors
/// See [`ReadError`].
pub fn read_items<R: Read>(source: R, shape: Shape, each: &mut dyn FnMut(u64, &str) -> ControlFlow<()>) -> Result<(), ReadError> {
    let bytes = RowBytes::default();
    let limited = Limited::new(source, MAX_ROW + SLACK, bytes.clone());
    let mut deserializer = serde_json::Deserializer::from_reader(limited);
    let mut rows = Rows { shape, each, bytes, row: 0, items: false, error: None };
    let read = rows.deserialize(&mut deserializer).and_then(|()| {
        rows.bytes.reset();
        deserializer.end()
    });
    let Err(error) = read else { return Ok(()) };
    if rows.bytes.exceed(MAX_ROW + SLACK) {
        return Err(ReadError::TooLarge { row: rows.row + 1, opened: None });
    }
    Err(rows.error.unwrap_or_else(|| match error.classify() {
        Category::Io => io::Error::from(error).into(),
        Category::Syntax | Category::Eof => ReadError::Malformed { row: rows.row + 1, source: error },
        Category::Data if rows.items => ReadError::Shape(Fault { pointer: "/items".into(), detail: "must be an array of products".into() }),
        Category::Data => ReadError::Shape(Fault::of_row(r#"must be a JSON object such as {"items": [...]}"#)),
    }))
}

struct Rows<'a> {
    shape: Shape,
    each: &'a mut dyn FnMut(u64, &str) -> ControlFlow<()>,
    bytes: RowBytes,
    /// Rows read so far.
    row: u64,
    /// Whether `items` has been seen.
    items: bool,
    /// The error that stopped reading, unless the parser did.
    error: Option<ReadError>,
}

impl Rows<'_> {
    fn stop<E: serde::de::Error>(&mut self, error: ReadError) -> E {
        self.error = Some(error);
        E::custom("stopped")
    }

    fn shape<E: serde::de::Error>(&mut self, pointer: String, detail: &str) -> E {
        self.stop(ReadError::Shape(Fault { pointer, detail: detail.to_owned() }))
    }
}

impl<'de> DeserializeSeed<'de> for &mut Rows<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(Document(self))
    }
}

/// Visitor of the document.
struct Document<'a, 'b>(&'a mut Rows<'b>);

impl<'de> Visitor<'de> for Document<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object with items")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let rows = self.0;
        while let Some(field) = fields.next_key::<String>()? {
            match field.as_str() {
                "items" if rows.items => return Err(rows.shape("/items".into(), "items is given twice; remove one of them")),
                "items" => {
                    rows.items = true;
                    fields.next_value_seed(Items(rows))?;
                }
                _ if rows.shape == Shape::Lenient => {
                    fields.next_value::<serde::de::IgnoredAny>()?;
                }
                _ => {
                    let clipped: String = field.chars().take(64).collect();
                    let pointer = format!("/{}", escape(&field));
                    return Err(rows.shape(pointer, &format!("{clipped:?} is unknown; the only field is items")));
                }
            }
        }
        if rows.items { Ok(()) } else { Err(rows.shape("/items".into(), "items is missing")) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<(), A::Error> {
        match self.0.shape {
            Shape::Lenient => Items(self.0).visit_seq(elements),
            Shape::Items => Err(A::Error::custom("an array")),
        }
    }
}

/// Visitor of the array of rows.
struct Items<'a, 'b>(&'a mut Rows<'b>);

impl<'de> DeserializeSeed<'de> for Items<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Items<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an array of products")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let rows = self.0;
        loop {
            rows.bytes.reset();
            let Some(element) = elements.next_element::<Box<RawValue>>()? else { return Ok(()) };
            if element.get().len() > MAX_ROW {
                let row = rows.row + 1;
                return Err(rows.stop(ReadError::TooLarge { row, opened: None }));
            }
            rows.row += 1;
            if (rows.each)(rows.row, element.get()).is_break() {
                return Err(rows.stop(ReadError::Stopped));
            }
        }
    }
}
