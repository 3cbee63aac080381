//! What serde says of a value of the wrong type, in the words of JSON.

/// Serde names Rust's types: `floating point `1.5`, expected i64`.
pub fn in_plain_words(message: &str) -> String {
    let Some((given, expected)) = message.rsplit_once(", expected ") else { return message.to_owned() };
    let expected = match expected {
        "i16" | "i32" | "i64" | "u16" | "u32" | "u64" | "usize" => "a whole number",
        "a sequence" => "an array",
        "a map" => "an object",
        name if name.starts_with("struct ") => "an object",
        other => other,
    };
    let kinds = [("floating point", "number"), ("integer", "number"), ("sequence", "array"), ("map", "object")];
    let kind = kinds.iter().find_map(|(rust, json)| Some((given.strip_prefix("invalid type: ")?.strip_prefix(rust)?, json)));
    match kind {
        Some((value, kind)) => format!("invalid type: {kind}{value}, expected {expected}"),
        None => format!("{given}, expected {expected}"),
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, de::DeserializeOwned};

    use super::*;

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only its shape matters")]
    struct Shape {
        units: i64,
    }

    fn refused<T: DeserializeOwned>(text: &str) -> String {
        in_plain_words(&serde_json::from_str::<serde_json::Value>(text).and_then(serde_json::from_value::<T>).err().unwrap().to_string())
    }

    #[test]
    fn types_are_called_as_in_json_and_values_stay_as_they_were_sent() {
        assert_eq!(refused::<i64>("1.5"), "invalid type: number `1.5`, expected a whole number");
        assert_eq!(refused::<Vec<i64>>("5"), "invalid type: number `5`, expected an array");
        assert_eq!(refused::<Shape>("5"), "invalid type: number `5`, expected an object");
        assert_eq!(refused::<String>("{}"), "invalid type: object, expected a string");
        assert_eq!(refused::<bool>(r#""map, expected i64""#), "invalid type: string \"map, expected i64\", expected a boolean");
        assert_eq!(refused::<Shape>("{}"), "missing field `units`");
    }
}
