//! What `--map FIELD=COLUMN,...` says. A name that contains a comma, or a field that contains `=`, is enclosed in quotes.

/// The fields and their columns.
///
/// # Errors
/// What cannot be read.
pub fn pairs(option: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    let mut rest = option;
    loop {
        let (field, column, behind) = pair(rest)
            .ok_or_else(|| format!("--map {rest:?} is not allowed: give FIELD=COLUMN, such as sku=item_id or price=\"Price, EUR\""))?;
        pairs.push((field, column));
        match behind.strip_prefix(',') {
            Some(more) => rest = more,
            None => return Ok(pairs),
        }
    }
}

/// The first pair of a list, and the rest: nothing, or a comma and more.
fn pair(text: &str) -> Option<(String, String, &str)> {
    let (field, rest) = name(text, &['=', ','])?;
    let (column, rest) = name(rest.strip_prefix('=')?, &[','])?;
    Some((field, column, rest))
}

/// The name that the text starts with, which isn't empty, and the rest from one of `ends` on.
fn name<'a>(text: &'a str, ends: &[char]) -> Option<(String, &'a str)> {
    let text = text.trim_start();
    let (name, rest) = if let Some(quoted) = text.strip_prefix('"') {
        quoted_name(quoted)?
    } else {
        let (name, rest) = text.split_at(text.find(ends).unwrap_or(text.len()));
        (name.to_owned(), rest)
    };
    let name = name.trim();
    if name.is_empty() || !(rest.is_empty() || rest.starts_with(ends)) { None } else { Some((name.to_owned(), rest)) }
}

/// A name up to its closing quote, in which a doubled quote is one, and the rest behind white space.
fn quoted_name(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let (part, behind) = rest.split_once('"')?;
        name.push_str(part);
        match behind.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((name, behind.trim_start())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_may_contain_anything_if_it_is_quoted() {
        for (option, expected) in [
            ("sku=item_id", vec![("sku", "item_id")]),
            ("sku=item_id, name = Long name ", vec![("sku", "item_id"), ("name", "Long name")]),
            ("price=\"Price, EUR\"", vec![("price", "Price, EUR")]),
            ("price=\"Price, EUR\",sku=a=b", vec![("price", "Price, EUR"), ("sku", "a=b")]),
            ("name = \"24\"\" wide\" ,sku=s", vec![("name", "24\" wide"), ("sku", "s")]),
            ("\"attributes.a=b\"=\"=,\"", vec![("attributes.a=b", "=,")]),
            ("name=24\" wide", vec![("name", "24\" wide")]),
        ] {
            let read = pairs(option).unwrap();
            let read: Vec<_> = read.iter().map(|(field, column)| (field.as_str(), column.as_str())).collect();
            assert_eq!(read, expected, "{option}");
        }
    }

    #[test]
    fn what_is_not_a_list_of_pairs_is_an_error_that_shows_one() {
        for option in ["", "sku", "sku=", "=item_id", "sku=a,", "sku=a,,name=b", "sku=\"a", "sku=\"a\"b", "sku=\"\"", "sku,name=a"] {
            assert!(pairs(option).unwrap_err().contains("price=\"Price, EUR\""), "{option}");
        }
    }
}
