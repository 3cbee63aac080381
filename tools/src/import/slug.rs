//! Generates skus from another field: readable, unique and stable.

use std::fmt::Write;

use catalog_values::{characters, product::MAX_SKU};

use sha2::{Digest, Sha256};

/// Hexadecimal digits of the hash. With 40 bits, collisions are unlikely among a million rows.
const HASH_DIGITS: usize = 10;

/// Returns host and path of a URL, or the words of another text, followed by a hash of the text.
#[must_use]
pub fn generate_sku(text: &str) -> String {
    let path = text.split_once("://").map_or(text, |(_, path)| path);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let mut slug = String::with_capacity(MAX_SKU);
    for c in path.chars().flat_map(char::to_lowercase) {
        // Hangul fillers are alphanumeric but invisible.
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
    use catalog_values::product::is_sku;

    #[test]
    fn invisible_letters_are_left_out() {
        assert_eq!(generate_sku("\u{3164}").len(), HASH_DIGITS);
        assert!(generate_sku("a\u{3164}b").starts_with("a-b-"));
    }

    #[test]
    fn the_sku_of_a_url_has_its_host_and_path() {
        assert_eq!(generate_sku("http://www.hood.net/about.html"), "www.hood.net-about.html-ae0c06fff5");
        assert!(generate_sku("//www.barbosa.br/privacy.html").starts_with("www.barbosa.br-privacy.html-"));
        assert!(generate_sku("/main/posts/author/").starts_with("main-posts-author-"));
        assert!(generate_sku("https://a.example/b?page=1").starts_with("a.example-b-"));
        assert_ne!(generate_sku("https://a.example/b?page=1"), generate_sku("https://a.example/b?page=2"));
    }

    proptest! {
        #[test]
        fn the_sku_is_valid_and_differs_for_different_texts(a in "\\PC{1,200}", b in "\\PC{1,200}") {
            prop_assert!(is_sku(&generate_sku(&a)), "{}", generate_sku(&a));
            prop_assert_eq!(generate_sku(&a) == generate_sku(&b), a == b);
        }
    }
}
