//! What may be said of a product. Every rule gives a sentence that says what is allowed.

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate};
use rust_decimal::Decimal;

use crate::{characters, config::Currency};

/// What the rules need to know of the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// The catalogue's one currency.
    pub currency: Currency,
}

/// Prices are below this.
const PRICE_LIMIT: u32 = 1_000_000_000;
/// Units in stock of one product, at most.
pub const MAX_QUANTITY: i64 = 1_000_000_000;
/// Categories of one product, at most.
pub const MAX_CATEGORIES: usize = 50;
/// Attributes of one product, at most.
pub const MAX_ATTRIBUTES: usize = 100;

fn refuse(why: impl AsRef<str>) -> garde::Result {
    Err(garde::Error::new(why.as_ref()))
}

/// Characters of an amount, at most.
const MAX_AMOUNT: usize = 24;

/// A decimal number in plain notation: no sign, exponent, spaces or thousands separators.
#[must_use]
pub fn amount(text: &str) -> Option<Decimal> {
    let plain = text.bytes().all(|c| c.is_ascii_digit() || c == b'.') && text.len() <= MAX_AMOUNT;
    let framed = text.starts_with(|c: char| c.is_ascii_digit()) && text.ends_with(|c: char| c.is_ascii_digit());
    if plain && framed { Decimal::from_str_exact(text).ok() } else { None }
}

/// `price.currency`.
pub fn price_currency(code: &str, rules: &Rules) -> garde::Result {
    let currency = rules.currency;
    if code == currency.code() { Ok(()) } else { refuse(format!("the currency of this catalogue is {currency}, not {:?}", clip(code))) }
}

/// `price.amount`.
pub fn price_amount(text: &str, rules: &Rules) -> garde::Result {
    let currency = rules.currency;
    let Some(amount) = amount(text) else {
        return refuse(format!("amount is a decimal string such as \"19.90\", at least 0, not {:?}", clip(text)));
    };
    if amount >= Decimal::from(PRICE_LIMIT) {
        return refuse(format!("amount is below {PRICE_LIMIT}"));
    }
    if amount.normalize().scale() > currency.decimals() {
        return refuse(format!("amounts in {currency} have at most {} decimals", currency.decimals()));
    }
    Ok(())
}

/// `quantity`.
pub fn quantity(quantity: &i64, _: &Rules) -> garde::Result {
    if (0..=MAX_QUANTITY).contains(quantity) { Ok(()) } else { refuse(format!("quantity is a whole number from 0 to {MAX_QUANTITY}")) }
}

/// `delta` of a stock adjustment.
pub fn delta(delta: &i64, _: &Rules) -> garde::Result {
    let allowed = *delta != 0 && (-MAX_QUANTITY..=MAX_QUANTITY).contains(delta);
    if allowed { Ok(()) } else { refuse(format!("delta is a whole number from -{MAX_QUANTITY} to {MAX_QUANTITY}, and not 0")) }
}

/// Whether `text` can be the `sku` of a product.
#[must_use]
pub fn is_sku(text: &str) -> bool {
    let is_hidden = |c: char| c.is_control() || characters::is_blank(c);
    // In a path, . and .. are removed before a request is sent (RFC 3986, section 6.2.2.3).
    (1..=64).contains(&text.chars().count()) && !text.chars().any(is_hidden) && !matches!(text, "." | "..")
}

/// `sku`.
pub fn sku(sku: &str, _: &Rules) -> garde::Result {
    if !is_sku(sku) {
        return refuse("sku is 1 to 64 characters without spaces, control or invisible characters, and neither . nor ..");
    }
    Ok(())
}

/// One line of text of 1 to `MAX` characters.
pub fn line<const MAX: usize>(text: &str, _: &Rules) -> garde::Result {
    if text.chars().count() > MAX || !characters::is_plain_line(text) {
        return refuse(format!("give 1 to {MAX} characters on one line, some of them visible, and none that reorder text"));
    }
    Ok(())
}

/// Text of at most `MAX` characters on any number of lines.
pub fn text<const MAX: usize>(text: &str, _: &Rules) -> garde::Result {
    if text.chars().count() > MAX || text.contains('\0') {
        return refuse(format!("give at most {MAX} characters, none of them NUL"));
    }
    Ok(())
}

/// `categories`.
pub fn categories(categories: &[String], rules: &Rules) -> garde::Result {
    if categories.len() > MAX_CATEGORIES {
        return refuse(format!("give at most {MAX_CATEGORIES} categories"));
    }
    for (index, category) in categories.iter().enumerate() {
        line::<100>(category, rules)?;
        if categories[..index].contains(category) {
            return refuse(format!("the category {:?} is given twice", clip(category)));
        }
    }
    Ok(())
}

/// `url`: an RFC 3986 reference, absolute or relative, whose scheme doesn't run code where it is shown as a link.
pub fn url(url: &str, _: &Rules) -> garde::Result {
    const RUNS_CODE: [&str; 3] = ["javascript", "data", "vbscript"];
    let base = reqwest::Url::parse("https://shop.invalid/").ok();
    let parsed = reqwest::Url::options().base_url(base.as_ref()).parse(url);
    let odd = url.is_empty() || url.len() > 2048 || url.chars().any(|c| c.is_control() || c.is_whitespace());
    match parsed {
        Ok(parsed) if !odd && !RUNS_CODE.contains(&parsed.scheme()) => Ok(()),
        _ => refuse("url is an absolute URL or a path, at most 2048 bytes without spaces, and not of a scheme that runs code"),
    }
}

/// `released_on`.
pub fn date(date: &NaiveDate, _: &Rules) -> garde::Result {
    if (1000..=9999).contains(&date.year()) { Ok(()) } else { refuse("give a date between 1000-01-01 and 9999-12-31") }
}

/// `attributes`.
pub fn attributes(attributes: &BTreeMap<String, String>, rules: &Rules) -> garde::Result {
    if attributes.len() > MAX_ATTRIBUTES {
        return refuse(format!("give at most {MAX_ATTRIBUTES} attributes"));
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
    fn absurd_prices_are_refused() {
        for bad in ["", "-1", "+1", "1e3", "1,5", "NaN", " 1", ".5", "5.", "1000000000", "0.001", "99999999999999999999999999"] {
            assert!(price_amount(bad, &rules()).is_err(), "{bad}");
        }
        for good in ["0", "0.1", "19.90", "19.900", "999999999.99"] {
            assert!(price_amount(good, &rules()).is_ok(), "{good}");
        }
    }

    #[test]
    fn another_currency_is_refused_by_name() {
        let error = price_currency("SAR", &rules()).unwrap_err();
        assert_eq!(error.to_string(), "the currency of this catalogue is EUR, not \"SAR\"");
    }

    #[test]
    fn a_sku_is_what_it_looks_like() {
        for good in ["a", "A-1/2", "90420332", "…", "Größe", ".a", "a..b", "货号"] {
            assert!(sku(good, &rules()).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a b", "a\u{a0}", "a\u{200b}", "\u{feff}a", "a\u{202e}b", "a\u{ad}b", "a\u{200d}", "a\u{7f}"] {
            assert!(sku(bad, &rules()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn links_may_be_paths_but_never_code() {
        for good in ["https://a.example/b?c", "//a.example/b", "/main/posts/", "file:///phillips.info/main/"] {
            assert!(url(good, &rules()).is_ok(), "{good}");
        }
        for bad in ["", "javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", "a b", "https://"] {
            assert!(url(bad, &rules()).is_err(), "{bad}");
        }
    }
}
