//! JSON pointers (RFC 6901), which locate errors in bodies.

use serde_path_to_error::Segment;

/// Escapes a key as a segment of a JSON pointer (RFC 6901, section 3).
#[must_use]
pub fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Returns the JSON pointer of a value that could not be deserialized.
#[must_use]
pub fn from_path(path: &serde_path_to_error::Path) -> String {
    let names = path.iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(escape(key)),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    names.fold(String::new(), |pointer, name| pointer + "/" + &name)
}
