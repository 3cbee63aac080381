//! Keys that are given twice, in the same or another Unicode form. Structs refuse them as they are read; maps and JSON values would take
//! the last one in silence, so bodies are looked through for them first.

use std::{cell::Cell, collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_path_to_error::Track;

use crate::text::Text;

/// The JSON pointer of the first key that its object has twice.
///
/// # Errors
/// If it isn't JSON, up to that key.
pub fn doubled_key(text: &str) -> serde_json::Result<Option<String>> {
    let found = Cell::new(false);
    let mut track = Track::new();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = Keys(&found).deserialize(serde_path_to_error::Deserializer::new(&mut deserializer, &mut track));
    if read.is_err() && found.get() {
        return Ok(Some(super::parse::pointer(&track.path())));
    }
    read.and_then(|()| deserializer.end()).map(|()| None)
}

/// Any value, looked through for keys.
#[derive(Clone, Copy)]
struct Keys<'a>(&'a Cell<bool>);

/// The value of a key that has had one.
struct Again<'a>(&'a Cell<bool>);

impl<'de> DeserializeSeed<'de> for Again<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, _: D) -> Result<(), D::Error> {
        self.0.set(true);
        Err(D::Error::custom("is given twice"))
    }
}

impl<'de> DeserializeSeed<'de> for Keys<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Keys<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let mut known = HashSet::new();
        while let Some(key) = fields.next_key::<String>()? {
            if known.insert(key.into_nfc()) {
                fields.next_value_seed(self)?;
            } else {
                fields.next_value_seed(Again(self.0))?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::doubled_key;

    #[test]
    fn the_first_doubled_key_is_pointed_at_however_deep_and_however_written() {
        for (text, pointer) in [
            (r#"{"name": "A", "name": "B"}"#, "/name"),
            (r#"{"name": "A", "\u006eame": "A"}"#, "/name"),
            (r#"{"attributes": {"a/b": "1", "a/b": null}}"#, "/attributes/a~1b"),
            (r#"[{"a": 1.5}, {"a": true, "a": {}}]"#, "/1/a"),
        ] {
            assert_eq!(doubled_key(text).unwrap().as_deref(), Some(pointer), "{text}");
        }
        for text in ["7", r#"{"a": {"a": 1}, "b": {"a": 1}}"#, r#"{"a": -1, "b": 1e3, "c": null, "d": [[]]}"#] {
            assert_eq!(doubled_key(text).unwrap(), None, "{text}");
        }
        for text in ["", "{", r#"{"x":"#, r#"{"a": 1, "a" "#, "{} {}"] {
            assert!(doubled_key(text).is_err(), "{text}");
        }
    }
}
