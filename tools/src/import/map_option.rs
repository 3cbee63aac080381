//! Parses `--map FIELD=COLUMN,...`. A name that contains a comma, or a field that contains `=`, is quoted.

/// Returns fields and their columns.
///
/// # Errors
/// Names the first invalid part.
pub fn parse_pairs(option: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    let mut rest = option;
    loop {
        let (field, column, behind) = parse_pair(rest)
            .ok_or_else(|| format!("--map {rest:?} is invalid: use FIELD=COLUMN, such as sku=item_id or price=\"Price, EUR\""))?;
        pairs.push((field, column));
        match behind.strip_prefix(',') {
            Some(more) => rest = more,
            None => return Ok(pairs),
        }
    }
}

/// Parses the first pair of a list. The rest is empty or starts with a comma.
fn parse_pair(text: &str) -> Option<(String, String, &str)> {
    let (field, rest) = parse_name(text, &['=', ','])?;
    let (column, rest) = parse_name(rest.strip_prefix('=')?, &[','])?;
    Some((field, column, rest))
}

/// Parses a name, which must not be empty. The rest is empty or starts with one of `ends`.
fn parse_name<'a>(text: &'a str, ends: &[char]) -> Option<(String, &'a str)> {
    let text = text.trim_start();
    let (name, rest) = if let Some(quoted) = text.strip_prefix('"') {
        parse_quoted_name(quoted)?
    } else {
        let (name, rest) = text.split_at(text.find(ends).unwrap_or(text.len()));
        (name.to_owned(), rest)
    };
    let name = name.trim();
    if name.is_empty() || !(rest.is_empty() || rest.starts_with(ends)) { None } else { Some((name.to_owned(), rest)) }
}

/// Parses a name up to its closing quote. A doubled quote is one quote of the name.
fn parse_quoted_name(text: &str) -> Option<(String, &str)> {
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
    fn a_quoted_name_may_contain_any_character() {
        for (option, expected) in [
            ("sku=item_id", vec![("sku", "item_id")]),
            ("sku=item_id, name = Long name ", vec![("sku", "item_id"), ("name", "Long name")]),
            ("price=\"Price, EUR\"", vec![("price", "Price, EUR")]),
            ("price=\"Price, EUR\",sku=a=b", vec![("price", "Price, EUR"), ("sku", "a=b")]),
            ("name = \"24\"\" wide\" ,sku=s", vec![("name", "24\" wide"), ("sku", "s")]),
            ("\"attributes.a=b\"=\"=,\"", vec![("attributes.a=b", "=,")]),
            ("name=24\" wide", vec![("name", "24\" wide")]),
        ] {
            let read = parse_pairs(option).unwrap();
            let read: Vec<_> = read.iter().map(|(field, column)| (field.as_str(), column.as_str())).collect();
            assert_eq!(read, expected, "{option}");
        }
    }

    #[test]
    fn the_error_of_an_invalid_list_shows_an_example() {
        for option in ["", "sku", "sku=", "=item_id", "sku=a,", "sku=a,,name=b", "sku=\"a", "sku=\"a\"b", "sku=\"\"", "sku,name=a"] {
            assert!(parse_pairs(option).unwrap_err().contains("price=\"Price, EUR\""), "{option}");
        }
    }
}
