//! Parses numbers of a file by a strict grammar: a misplaced separator is an error.

use catalog_rows::{quantity, quantity_error};

/// Separators of groups of three digits. A number has only one kind.
const SEPARATORS: [char; 4] = ['.', ' ', '\u{a0}', '\u{202f}'];

/// Notation of numbers in a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Notation {
    /// `1299.50`, as in the API.
    #[default]
    Point,
    /// `1299,50`, `1.299,50` or `1 299,50`.
    Comma,
}

impl Notation {
    /// Converts a price for the API, which validates prices with a decimal point itself.
    ///
    /// # Errors
    /// The validation error.
    pub fn amount(self, text: &str) -> Result<String, String> {
        match self {
            Self::Point => Ok(text.to_owned()),
            Self::Comma => parse_decimal_comma(text).ok_or_else(|| validation_error("a number such as 19,99 or 1.299,00", text)),
        }
    }

    /// Parses a quantity.
    ///
    /// # Errors
    /// The validation error.
    pub fn quantity(self, text: &str) -> Result<i64, String> {
        match self {
            Self::Point => quantity(text).ok_or_else(|| quantity_error(text)),
            Self::Comma => parse_decimal_comma(text)
                .and_then(|digits| digits.parse().ok())
                .ok_or_else(|| validation_error("a whole number such as 12 or 1.299", text)),
        }
    }
}

fn validation_error(allowed: &str, text: &str) -> String {
    let clipped: String = text.chars().take(32).collect();
    format!("must be {allowed}, because of --decimal-comma, not {clipped:?}")
}

/// Converts a number with a decimal comma and optional groups of three digits to a decimal point without groups.
fn parse_decimal_comma(text: &str) -> Option<String> {
    let (whole, fraction) = text.split_once(',').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    let whole = match whole.find(SEPARATORS) {
        Some(at) => {
            let separator = whole[at..].chars().next()?;
            let mut groups = whole.split(separator);
            let first = groups.next()?;
            // 0.500 is not a grouped number, but has a decimal point.
            let grouped = (1..=3).contains(&first.len()) && !first.starts_with('0') && groups.all(|group| group.len() == 3);
            if grouped { whole.replace(separator, "") } else { return None }
        }
        None => whole.to_owned(),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    match fraction {
        None if digits(&whole) => Some(whole),
        Some(fraction) if digits(&whole) && digits(fraction) => Some(format!("{whole}.{fraction}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_numbers_with_a_decimal_comma_are_parsed() {
        for (text, amount) in [
            ("19,99", "19.99"),
            ("1.299,00", "1299.00"),
            ("1 299,50", "1299.50"),
            ("1\u{a0}299,50", "1299.50"),
            ("1\u{202f}299,50", "1299.50"),
            ("1.234.567,89", "1234567.89"),
            ("1299,5", "1299.5"),
            ("1299", "1299"),
            ("1.299", "1299"),
            ("0,50", "0.50"),
            ("265,0", "265.0"),
        ] {
            assert_eq!(Notation::Comma.amount(text).as_deref(), Ok(amount), "{text}");
        }
        for text in [
            "19.99",
            "0.50",
            "1'299.50",
            "1'299,50",
            "12.34.567,00",
            "1.29",
            ".5",
            "5,",
            ",5",
            "",
            ",",
            "0.500",
            "01.299",
            "1.299 500,00",
            "1..299",
            "1.299.",
            "1.2999",
            "1299.500,00",
            "1,299,50",
            "-5,00",
            "+5,00",
            "1,5e3",
            "1,299.50",
            "€ 5,00",
            "5,00 €",
            "１,５",
            "1 29",
        ] {
            let rule = Notation::Comma.amount(text).unwrap_err();
            assert!(rule.contains("19,99") && rule.ends_with(&format!("not {text:?}")), "{rule}");
        }
    }

    #[test]
    fn a_quantity_is_whole_in_both_notations() {
        for (notation, text, quantity) in [
            (Notation::Point, "12", Some(12)),
            (Notation::Point, "1.299", None),
            (Notation::Point, "2.5", None),
            (Notation::Point, "10.0", None),
            (Notation::Point, "+5", None),
            (Notation::Point, "-5", None),
            (Notation::Point, "1,299", None),
            (Notation::Comma, "12", Some(12)),
            (Notation::Comma, "1.299", Some(1299)),
            (Notation::Comma, "1 299", Some(1299)),
            (Notation::Comma, "2,5", None),
            (Notation::Comma, "2.5", None),
            (Notation::Comma, "10,0", None),
            (Notation::Comma, "10.0", None),
        ] {
            assert_eq!(notation.quantity(text).ok(), quantity, "{notation:?} {text}");
        }
    }

    proptest! {
        #[test]
        fn a_parsed_number_keeps_its_digits_and_the_position_of_the_comma(text in "[0-9., \u{a0}\u{202f}']{1,12}") {
            if let Ok(amount) = Notation::Comma.amount(&text) {
                let kept: String = text.chars().filter(|c| c.is_ascii_digit() || *c == ',').collect();
                prop_assert_eq!(amount.replace('.', ","), kept);
            }
        }
    }
}
