//! Converts the rules that garde reports as violated to the errors of a problem document.

use catalog_values::json_pointer::escape;
use garde::error::Path;

use super::problem::FieldError;

/// Returns every violated rule with the JSON pointer of its field, such as `/price/amount` or `/categories/0`.
#[must_use]
pub fn field_errors(report: garde::Report) -> Vec<FieldError> {
    report.into_inner().into_iter().map(|(path, error)| FieldError::body(pointer(&path), error.message())).collect()
}

fn pointer(path: &Path) -> String {
    // A path serializes as pairs of a kind and a name from the root on; its text would be ambiguous for names with dots.
    let segments: Vec<(String, String)> = serde_json::to_value(path).and_then(serde_json::from_value).unwrap_or_default();
    // The inside of an `Option` is a segment of kind `none`, which the body doesn't have.
    let names = segments.iter().filter(|(kind, _)| kind != "none").map(|(_, name)| escape(name));
    names.fold(String::new(), |pointer, name| pointer + "/" + &name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use garde::Validate;

    use super::*;

    #[derive(Validate)]
    struct Order {
        #[garde(dive)]
        price: Price,
        #[garde(inner(length(min = 1)))]
        categories: Vec<String>,
        #[garde(inner(length(min = 1)))]
        note: Option<String>,
        #[garde(dive)]
        prices: BTreeMap<String, Price>,
    }

    #[derive(Validate)]
    struct Price {
        #[garde(length(min = 1))]
        amount: String,
    }

    #[test]
    fn every_violated_rule_has_the_pointer_of_its_field() {
        let bad = || Price { amount: String::new() };
        let order = Order {
            price: bad(),
            categories: vec!["a".into(), String::new()],
            note: Some(String::new()),
            prices: BTreeMap::from([("a.b/c[0]".into(), bad())]),
        };
        let pointers: Vec<_> = field_errors(order.validate().unwrap_err()).into_iter().filter_map(|error| error.pointer).collect();
        assert_eq!(pointers, ["/categories/1", "/note", "/price/amount", "/prices/a.b~1c[0]/amount"]);
    }

    #[test]
    fn a_rule_about_the_whole_body_points_at_its_root() {
        let mut report = garde::Report::new();
        report.append(Path::empty(), garde::Error::new("give a name or an address"));
        assert_eq!(field_errors(report), [FieldError::body("", "give a name or an address")]);
    }
}
