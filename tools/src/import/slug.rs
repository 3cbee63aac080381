//! A sku made of another field: readable, unique and always the same.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use catalog::characters;

/// Longest sku, in characters.
const MAX_SKU: usize = 64;
/// Hexadecimal digits of the hash: 40 bits, so that even a million rows hardly ever meet.
const HASH_DIGITS: usize = 10;

/// For a URL its host and path, for other text its words, then a hash of the whole.
#[must_use]
pub fn of(text: &str) -> String {
    let place = text.split_once("://").map_or(text, |(_, place)| place);
    let place = place.split(['?', '#']).next().unwrap_or_default();
    let mut slug = String::with_capacity(MAX_SKU);
    for c in place.chars().flat_map(char::to_lowercase) {
        // Some fillers of Hangul count as letters, and show nothing.
        if (c.is_alphanumeric() && !characters::is_invisible(c)) || (c == '.' && !slug.is_empty()) {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let mut slug: String = slug.chars().take(MAX_SKU - HASH_DIGITS - 1).collect();
    slug.truncate(slug.trim_end_matches(['-', '.']).len());
    let mut hash = String::new();
    for byte in Sha256::digest(text).iter().take(HASH_DIGITS / 2) {
        // Writing to a string cannot fail.
        let _ = write!(hash, "{byte:02x}");
    }
    if slug.is_empty() { hash } else { format!("{slug}-{hash}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use catalog::products::is_sku;

    #[test]
    fn letters_that_show_nothing_are_left_out() {
        assert_eq!(of("\u{3164}").len(), HASH_DIGITS);
        assert!(of("a\u{3164}b").starts_with("a-b-"));
    }

    #[test]
    fn a_url_gives_its_host_and_path() {
        assert_eq!(of("http://www.hood.net/about.html"), "www.hood.net-about.html-ae0c06fff5");
        assert!(of("//www.barbosa.br/privacy.html").starts_with("www.barbosa.br-privacy.html-"));
        assert!(of("/main/posts/author/").starts_with("main-posts-author-"));
        assert!(of("https://a.example/b?page=1").starts_with("a.example-b-"));
        assert_ne!(of("https://a.example/b?page=1"), of("https://a.example/b?page=2"));
    }

    proptest! {
        #[test]
        fn it_is_a_sku_and_tells_texts_apart(a in "\\PC{1,200}", b in "\\PC{1,200}") {
            prop_assert!(is_sku(&of(&a)), "{}", of(&a));
            prop_assert_eq!(of(&a) == of(&b), a == b);
        }
    }
}
