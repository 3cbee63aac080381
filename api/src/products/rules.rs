//! Rules of product fields. Each error says what is allowed.

use std::collections::BTreeMap;

use catalog_values::{
    Currency, characters,
    product::{MAX_ATTRIBUTES, MAX_SKU, is_sku},
};
use chrono::{Datelike, NaiveDate};
use rust_decimal::Decimal;

/// Context of the rules.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Currency of the catalogue.
    pub currency: Currency,
}

/// Upper limit of prices, exclusive.
const PRICE_LIMIT: u32 = 1_000_000_000;
/// Maximum stock of a product.
pub const MAX_QUANTITY: i64 = 1_000_000_000;
/// Maximum number of categories of a product.
pub const MAX_CATEGORIES: usize = 50;

fn invalid(why: impl AsRef<str>) -> garde::Result {
    Err(garde::Error::new(why.as_ref()))
}

/// Maximum length of an amount, in characters.
const MAX_AMOUNT: usize = 24;

/// Parses a decimal number in plain notation: without sign, exponent, spaces or thousands separators.
#[must_use]
pub fn amount(text: &str) -> Option<Decimal> {
    let plain = text.bytes().all(|c| c.is_ascii_digit() || c == b'.') && text.len() <= MAX_AMOUNT;
    let framed = text.starts_with(|c: char| c.is_ascii_digit()) && text.ends_with(|c: char| c.is_ascii_digit());
    if plain && framed { Decimal::from_str_exact(text).ok() } else { None }
}

/// `price.currency`.
pub fn price_currency(code: &str, rules: &Rules) -> garde::Result {
    let currency = rules.currency;
    if code == currency.code() {
        Ok(())
    } else {
        invalid(format!("currency must be {currency}, the currency of this catalogue, not {:?}", clip(code)))
    }
}

/// `price.amount`.
pub fn price_amount(text: &str, rules: &Rules) -> garde::Result {
    let currency = rules.currency;
    let Some(amount) = amount(text) else {
        return invalid(format!("amount must be a decimal string such as \"19.90\", at least 0, not {:?}", clip(text)));
    };
    if amount >= Decimal::from(PRICE_LIMIT) {
        return invalid(format!("amount must be below {PRICE_LIMIT}"));
    }
    if amount.normalize().scale() > currency.decimals() {
        return invalid(format!("an amount in {currency} must have at most {} decimals", currency.decimals()));
    }
    Ok(())
}

/// `quantity`.
pub fn quantity(quantity: &i64, _: &Rules) -> garde::Result {
    if (0..=MAX_QUANTITY).contains(quantity) {
        Ok(())
    } else {
        invalid(format!("quantity must be a whole number from 0 to {MAX_QUANTITY}"))
    }
}

/// `delta` of a stock adjustment.
pub fn delta(delta: &i64, _: &Rules) -> garde::Result {
    let allowed = *delta != 0 && (-MAX_QUANTITY..=MAX_QUANTITY).contains(delta);
    if allowed { Ok(()) } else { invalid(format!("delta must be a whole number from -{MAX_QUANTITY} to {MAX_QUANTITY}, except 0")) }
}

/// `sku`.
pub fn sku(sku: &str, _: &Rules) -> garde::Result {
    if !is_sku(sku) {
        return invalid(format!(
            "sku must have 1 to {MAX_SKU} characters without spaces, control or invisible characters, and be neither . nor .."
        ));
    }
    Ok(())
}

/// One line of text of 1 to `MAX` characters.
pub fn line<const MAX: usize>(text: &str, _: &Rules) -> garde::Result {
    if text.chars().count() > MAX || !characters::is_plain_line(text) {
        return invalid(format!(
            "must be one line of 1 to {MAX} characters, at least one of them visible, without characters that reorder text"
        ));
    }
    Ok(())
}

/// Text of at most `MAX` characters on any number of lines.
pub fn text<const MAX: usize>(text: &str, _: &Rules) -> garde::Result {
    if text.chars().count() > MAX || text.contains('\0') {
        return invalid(format!("must have at most {MAX} characters, without NUL"));
    }
    Ok(())
}

/// `categories`.
pub fn categories(categories: &[String], rules: &Rules) -> garde::Result {
    if categories.len() > MAX_CATEGORIES {
        return invalid(format!("must have at most {MAX_CATEGORIES} categories"));
    }
    for (index, category) in categories.iter().enumerate() {
        line::<100>(category, rules)?;
        if categories[..index].contains(category) {
            return invalid(format!("the category {:?} is given twice; remove one of them", clip(category)));
        }
    }
    Ok(())
}

/// `url`: an RFC 3986 reference, absolute or relative, whose scheme does not run code when it is used as a link.
pub fn url(url: &str, _: &Rules) -> garde::Result {
    const RUNS_CODE: [&str; 3] = ["javascript", "data", "vbscript"];
    let base = reqwest::Url::parse("https://shop.invalid/").ok();
    let parsed = reqwest::Url::options().base_url(base.as_ref()).parse(url);
    let odd = url.is_empty() || url.len() > 2048 || url.chars().any(|c| c.is_control() || c.is_whitespace());
    match parsed {
        Ok(parsed) if !odd && !RUNS_CODE.contains(&parsed.scheme()) => Ok(()),
        _ => invalid("url must be an absolute URL or a path of at most 2048 bytes, without spaces and not of a scheme that runs code"),
    }
}

/// `released_on`.
pub fn date(date: &NaiveDate, _: &Rules) -> garde::Result {
    if (1000..=9999).contains(&date.year()) { Ok(()) } else { invalid("must be a date between 1000-01-01 and 9999-12-31") }
}

/// `attributes`.
pub fn attributes(attributes: &BTreeMap<String, String>, rules: &Rules) -> garde::Result {
    if attributes.len() > MAX_ATTRIBUTES {
        return invalid(format!("must have at most {MAX_ATTRIBUTES} attributes"));
    }
    for (name, value) in attributes {
        line::<100>(name, rules)?;
        text::<2000>(value, rules)?;
    }
    Ok(())
}

fn clip(text: &str) -> String {
    text.chars().take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules { currency: "EUR".parse().unwrap() }
    }

    #[test]
    fn prices_out_of_range_or_not_in_plain_notation_are_rejected() {
        for bad in ["", "-1", "+1", "1e3", "1,5", "NaN", " 1", ".5", "5.", "1000000000", "0.001", "99999999999999999999999999"] {
            assert!(price_amount(bad, &rules()).is_err(), "{bad}");
        }
        for good in ["0", "0.1", "19.90", "19.900", "999999999.99"] {
            assert!(price_amount(good, &rules()).is_ok(), "{good}");
        }
    }

    #[test]
    fn an_error_about_another_currency_names_both_currencies() {
        let error = price_currency("SAR", &rules()).unwrap_err();
        assert_eq!(error.to_string(), "currency must be EUR, the currency of this catalogue, not \"SAR\"");
    }

    #[test]
    fn a_sku_has_no_spaces_or_invisible_characters() {
        for good in ["a", "A-1/2", "90420332", "…", "Größe", ".a", "a..b", "货号"] {
            assert!(sku(good, &rules()).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a b", "a\u{a0}", "a\u{200b}", "\u{feff}a", "a\u{202e}b", "a\u{ad}b", "a\u{200d}", "a\u{7f}"] {
            assert!(sku(bad, &rules()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_url_may_be_a_path_but_not_of_a_scheme_that_runs_code() {
        for good in ["https://a.example/b?c", "//a.example/b", "/main/posts/", "file:///phillips.info/main/"] {
            assert!(url(good, &rules()).is_ok(), "{good}");
        }
        for bad in ["", "javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", "a b", "https://"] {
            assert!(url(bad, &rules()).is_err(), "{bad}");
        }
    }
}
