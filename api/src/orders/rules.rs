//! What may be asked for. Every rule gives a sentence that says what is allowed.

use std::collections::HashSet;

use super::NewLine;
use crate::characters;

/// Products in one cart or order, at most.
pub const MAX_LINES: usize = 100;
/// Units of one product in one cart or order, at most.
pub const MAX_UNITS: i64 = 1_000_000;
/// Open carts of one customer, at most: each holds stock that others cannot buy.
pub const MAX_CARTS: i64 = 10;
/// Longest reason, in characters.
const MAX_REASON: usize = 200;

fn refuse(why: impl AsRef<str>) -> garde::Result {
    Err(garde::Error::new(why.as_ref()))
}

/// `quantity`.
pub fn quantity(quantity: &i64, (): &()) -> garde::Result {
    if (1..=MAX_UNITS).contains(quantity) { Ok(()) } else { refuse(format!("quantity is a whole number from 1 to {MAX_UNITS}")) }
}

/// `items` of an order.
pub fn lines(lines: &[NewLine]) -> garde::Result {
    if (1..=MAX_LINES).contains(&lines.len()) { Ok(()) } else { refuse(format!("give 1 to {MAX_LINES} items, not {}", lines.len())) }
}

/// The first line whose product another line before it has already.
pub fn doubled(lines: &[NewLine]) -> Option<usize> {
    let mut seen = HashSet::new();
    lines.iter().position(|line| !seen.insert(line.product_id))
}

/// `reason`.
pub fn reason(reason: &str, (): &()) -> garde::Result {
    if reason.chars().count() > MAX_REASON || !characters::is_plain_line(reason) {
        return refuse(format!("give 1 to {MAX_REASON} characters on one line, some of them visible, and none that reorder text"));
    }
    Ok(())
}
