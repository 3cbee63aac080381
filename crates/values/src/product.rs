//! Limits of a product that the service enforces, and that files and generated skus must keep.

use crate::characters;

/// Maximum length of a sku, in characters.
pub const MAX_SKU: usize = 64;
/// Maximum number of attributes of a product.
pub const MAX_ATTRIBUTES: usize = 100;

/// Whether `text` is a valid sku.
#[must_use]
pub fn is_sku(text: &str) -> bool {
    let is_hidden = |c: char| c.is_control() || characters::is_blank(c);
    // Clients remove the path segments . and .. before they send a request (RFC 3986, section 6.2.2.3).
    (1..=MAX_SKU).contains(&text.chars().count()) && !text.chars().any(is_hidden) && !matches!(text, "." | "..")
}
