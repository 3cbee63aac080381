//! Duplicate keys, in the same or another Unicode form. Structs reject them; maps and JSON values would silently take the last one,
//! so bodies are checked for them first.

use std::{cell::Cell, collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_path_to_error::Track;

use crate::{json_pointer, text::Text};

/// The JSON pointer of the first duplicate key.
///
/// # Errors
/// If it isn't JSON up to that key.
pub fn find_duplicate_key(text: &str) -> serde_json::Result<Option<String>> {
    let found = Cell::new(false);
    let mut track = Track::new();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = Keys(&found).deserialize(serde_path_to_error::Deserializer::new(&mut deserializer, &mut track));
    if read.is_err() && found.get() {
        return Ok(Some(json_pointer::from_path(&track.path())));
    }
    read.and_then(|()| deserializer.end()).map(|()| None)
}

/// Any value; its keys are checked.
#[derive(Clone, Copy)]
struct Keys<'a>(&'a Cell<bool>);

/// The value of a duplicate key.
struct Again<'a>(&'a Cell<bool>);

impl<'de> DeserializeSeed<'de> for Again<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, _: D) -> Result<(), D::Error> {
        self.0.set(true);
        Err(D::Error::custom("duplicate"))
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
    use super::find_duplicate_key;

    #[test]
    fn the_first_duplicate_key_is_found_at_any_depth_and_in_any_spelling() {
        for (text, pointer) in [
            (r#"{"name": "A", "name": "B"}"#, "/name"),
            (r#"{"name": "A", "\u006eame": "A"}"#, "/name"),
            (r#"{"attributes": {"a/b": "1", "a/b": null}}"#, "/attributes/a~1b"),
            (r#"[{"a": 1.5}, {"a": true, "a": {}}]"#, "/1/a"),
        ] {
            assert_eq!(find_duplicate_key(text).unwrap().as_deref(), Some(pointer), "{text}");
        }
        for text in ["7", r#"{"a": {"a": 1}, "b": {"a": 1}}"#, r#"{"a": -1, "b": 1e3, "c": null, "d": [[]]}"#] {
            assert_eq!(find_duplicate_key(text).unwrap(), None, "{text}");
        }
        for text in ["", "{", r#"{"x":"#, r#"{"a": 1, "a" "#, "{} {}"] {
            assert!(find_duplicate_key(text).is_err(), "{text}");
        }
    }
}
