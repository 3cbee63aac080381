//! Folds names for searches, ignoring case, accents and Unicode normalisation.

mod refold;

use caseless::Caseless;
use catalog_values::characters;
use unicode_normalization::{UnicodeNormalization, char::canonical_combining_class};

pub use self::refold::{refold, refold_all};

/// Minimum length of a folded phrase, in characters. The trigram index cannot find shorter ones.
pub const MIN_PHRASE: usize = 3;

/// Folds a text: compatibility decomposition (NFKD) and full case folding, without combining marks and invisible characters.
/// If `a` is part of `b`, then `fold(a)` is part of `fold(b)`, in whatever case or normal form either is written.
///
/// Letters whose accent is not a combining mark in Unicode lose it as well: `ø`, `ł`, `đ`, `ħ`, `ŧ` and the dotless `ı`; `æ` and
/// `œ` become two letters. Otherwise a search without accents would find some accented names and not others.
#[must_use]
pub fn fold(text: &str) -> String {
    // Marks are removed last: the Greek iota subscript is a mark whose capital is a letter. The standard library's lower case
    // covers newer Unicode versions than the table of case foldings.
    let folded = text.nfkd().default_case_fold().flat_map(char::to_lowercase).nfkd();
    let letters = folded.filter(|c| canonical_combining_class(*c) == 0 && !characters::is_invisible(*c));
    let mut fold = String::with_capacity(text.len());
    for c in letters {
        match c {
            'ı' => fold.push('i'),
            'ø' => fold.push('o'),
            'ł' => fold.push('l'),
            'đ' => fold.push('d'),
            'ħ' => fold.push('h'),
            'ŧ' => fold.push('t'),
            'æ' => fold.push_str("ae"),
            'œ' => fold.push_str("oe"),
            other => fold.push(other),
        }
    }
    fold
}

/// The folded phrase of a `contains` filter. It has at least [`MIN_PHRASE`] characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phrase(String);

impl Phrase {
    /// Folds a phrase; `None` if fewer than [`MIN_PHRASE`] characters remain.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fold = fold(text);
        (fold.chars().count() >= MIN_PHRASE).then_some(Self(fold))
    }

    /// The folded phrase.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_found_in_any_case_accent_and_normalisation() {
        let cases = [
            ("Söderhamn", &["söderhamn", "SODERHAMN", "so\u{308}derhamn", "oderh"][..]),
            ("Größe STRASSE Tisch", &["GRÖSSE", "größe", "grosse", "straße", "GRO\u{308}SSE"]),
            ("İstanbul Halı", &["istanbul", "İSTANBUL", "ISTANBUL", "hali", "HALI", "i\u{307}stanbul"]),
            ("שולחן אלון", &["שולחן", "שׁוּלְחָן"]),
            ("שֻׁלְחָן", &["שלחן"]),
            ("Café", &["cafe", "cafe\u{301}", "CAFÉ"]),
            ("ΟΔΟΣ", &["οδός", "ὁδος"]),
            ("Smørrebrød Łódź", &["smorrebrod", "lodz", "SMØRREBRØD"]),
            ("Ｗｉｄｅ ﬁne", &["wide", "fine"]),
            ("Wolle\u{ad}decke", &["wolledecke"]),
        ];
        for (name, phrases) in cases {
            for phrase in phrases {
                assert!(fold(name).contains(&fold(phrase)), "{phrase} in {name}: {:?} in {:?}", fold(phrase), fold(name));
            }
        }
        assert_eq!(fold("100% Wolle_Decke"), "100% wolle_decke");
    }

    #[test]
    fn a_phrase_has_three_characters_after_folding() {
        for short in ["", "a", "ab", "%", "_", "a\u{301}b\u{301}", "\u{301}\u{301}\u{301}", "ab\u{200b}"] {
            assert_eq!(Phrase::new(short), None, "{short:?}");
        }
        for long in ["abc", "100%", "___", "ßa", "桌子椅"] {
            assert!(Phrase::new(long).is_some(), "{long}");
        }
    }

    proptest! {
        #[test]
        fn a_part_of_a_text_is_found_in_any_case_and_normalisation(text in any::<String>(), from in 0..40_usize, length in 0..20_usize) {
            let part: String = text.chars().skip(from).take(length).collect();
            let fold_of_text = fold(&text);
            let forms = [part.nfc().collect(), part.nfd().collect(), part.nfkc().collect(), part.nfkd().collect(), part.to_uppercase(), part.to_lowercase(), part.clone()];
            for form in forms {
                let form: String = form;
                prop_assert!(fold_of_text.contains(&fold(&form)), "{form:?} of {part:?} in {text:?}");
            }
        }

        #[test]
        fn folding_twice_is_folding_once(text in any::<String>()) {
            prop_assert_eq!(fold(&fold(&text)), fold(&text));
        }
    }
}
