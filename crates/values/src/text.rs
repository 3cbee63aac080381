//! Text in Unicode Normalization Form C (UAX 15). The same word can be written with composed characters or with
//! combining marks; in NFC both have the same bytes and compare as equal.
//!
//! Text is normalised on input: when a field is deserialised ([`normalized`]), and in query strings and paths.
//! It is not for secrets and identifiers such as tokens, keys, cursors and URLs, which keep their bytes.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Deserializer};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// Text, or a collection of it.
pub trait Text: Sized {
    /// Converts the text to NFC.
    #[must_use]
    fn into_nfc(self) -> Self;
}

impl Text for String {
    fn into_nfc(self) -> Self {
        if is_nfc(&self) { self } else { self.nfc().collect() }
    }
}

impl Text for Cow<'_, str> {
    fn into_nfc(self) -> Self {
        if is_nfc(&self) { self } else { Cow::Owned(self.nfc().collect()) }
    }
}

impl<T: Text> Text for Option<T> {
    fn into_nfc(self) -> Self {
        self.map(T::into_nfc)
    }
}

impl<T: Text> Text for Vec<T> {
    fn into_nfc(self) -> Self {
        self.into_iter().map(T::into_nfc).collect()
    }
}

/// Merges keys that are equal in NFC. For JSON bodies, [`crate::find_duplicate_key`] has rejected them before.
impl<T: Text> Text for BTreeMap<String, T> {
    fn into_nfc(self) -> Self {
        self.into_iter().map(|(key, value)| (key.into_nfc(), value.into_nfc())).collect()
    }
}

fn is_nfc(text: &str) -> bool {
    text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes
}

/// Deserialises a text field into NFC, for `#[serde(deserialize_with = "text::normalized")]`.
///
/// # Errors
/// If the value is not a text.
pub fn normalized<'de, D: Deserializer<'de>, T: Deserialize<'de> + Text>(deserializer: D) -> Result<T, D::Error> {
    T::deserialize(deserializer).map(T::into_nfc)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_normalization::is_nfc;

    use super::*;

    #[test]
    fn composed_and_decomposed_text_are_equal_and_compatibility_characters_stay() {
        for (given, stored) in [
            ("Möbel", "Möbel"),
            ("Mo\u{308}bel", "Möbel"),
            ("\u{1112}\u{1161}\u{11ab}", "한"),
            // The Kelvin sign is the letter K, also in its canonical form.
            ("\u{212a}", "K"),
            // Compatibility characters are other characters.
            ("ﬁ ② １", "ﬁ ② １"),
        ] {
            assert_eq!(given.to_owned().into_nfc(), stored);
        }
    }

    proptest! {
        #[test]
        fn every_normalisation_form_becomes_the_same_nfc(text in "\\PC{0,40}") {
            let composed: String = text.nfc().collect();
            let decomposed: String = text.nfd().collect();
            prop_assert_eq!(decomposed.into_nfc(), &*composed);
            prop_assert_eq!(Cow::Borrowed(&*text).into_nfc(), &*composed);
            prop_assert!(is_nfc(&text.into_nfc()));
        }

        #[test]
        fn collections_are_normalised_to_their_leaves(name in "[a-z]{1,5}", mark in "[\u{300}-\u{304}]") {
            let decomposed = format!("{name}{mark}");
            let composed = decomposed.clone().into_nfc();
            let map = BTreeMap::from([(decomposed.clone(), Some(decomposed.clone()))]);
            prop_assert_eq!(map.into_nfc(), BTreeMap::from([(composed.clone(), Some(composed.clone()))]));
            prop_assert_eq!(vec![decomposed].into_nfc(), vec![composed]);
        }
    }
}
