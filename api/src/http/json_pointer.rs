//! JSON pointers (RFC 6901), which locate errors in bodies.

/// A key as a segment of a JSON pointer: RFC 6901, section 3.
#[must_use]
pub fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
