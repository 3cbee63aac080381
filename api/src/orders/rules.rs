//! Rules of order and cart requests. Each error says what is allowed.

use catalog_values::characters;

/// Maximum number of products in a cart or order.
pub const MAX_LINES: usize = 100;
/// Maximum units of one product in a cart or order.
pub const MAX_UNITS: i64 = 1_000_000;
/// Maximum number of open carts per customer. Each cart reserves stock that other customers cannot buy.
pub const MAX_CARTS: i64 = 10;
/// Maximum length of a reason, in characters.
const MAX_REASON: usize = 200;

fn invalid(why: impl AsRef<str>) -> garde::Result {
    Err(garde::Error::new(why.as_ref()))
}

pub fn quantity(quantity: &i64, (): &()) -> garde::Result {
    if (1..=MAX_UNITS).contains(quantity) { Ok(()) } else { invalid(format!("quantity must be a whole number from 1 to {MAX_UNITS}")) }
}

pub fn item_count(count: usize) -> garde::Result {
    if (1..=MAX_LINES).contains(&count) { Ok(()) } else { invalid(format!("items must have 1 to {MAX_LINES} elements, not {count}")) }
}

pub fn reason(reason: &str, (): &()) -> garde::Result {
    if reason.chars().count() > MAX_REASON || !characters::is_plain_line(reason) {
        return invalid(format!(
            "reason must be one line of 1 to {MAX_REASON} characters, at least one of them visible, without characters that reorder text"
        ));
    }
    Ok(())
}
