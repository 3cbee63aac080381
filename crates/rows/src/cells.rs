//! Values of cells.

/// Parses a quantity: digits only.
#[must_use]
pub fn quantity(text: &str) -> Option<i64> {
    if text.bytes().all(|c| c.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Error detail for a text that is not a [`quantity`].
#[must_use]
pub fn quantity_error(text: &str) -> String {
    let clipped: String = text.chars().take(32).collect();
    format!("quantity must be a whole number written in digits only, such as 12, not {clipped:?}")
}
