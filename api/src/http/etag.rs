//! Conditional requests (RFC 9110, section 13).

use axum::http::{HeaderMap, HeaderName, header};

/// The value of a conditional header. Lists are parsed as bytes: tags may have commas and bytes above ASCII (section 8.8.3).
#[derive(Debug, PartialEq, Eq)]
enum Condition<'a> {
    Absent,
    /// `*`
    Any,
    Tags(Vec<Tag<'a>>),
    Malformed,
}

#[derive(Debug, PartialEq, Eq)]
struct Tag<'a> {
    weak: bool,
    /// With its quotes.
    opaque: &'a [u8],
}

/// Whether `If-None-Match` lists the tag (weak comparison), so that a read gets 304.
pub fn is_not_modified(headers: &HeaderMap, etag: &[u8]) -> bool {
    match Condition::read(headers, header::IF_NONE_MATCH) {
        Condition::Absent | Condition::Malformed => false,
        Condition::Any => true,
        Condition::Tags(tags) => tags.iter().any(|tag| tag.opaque == etag),
    }
}

/// Whether the preconditions of a change hold for a resource with this tag: `If-Match` lists it (strong comparison) or is
/// absent, and `If-None-Match` doesn't list it. A malformed header is a precondition that doesn't hold.
pub fn is_precondition_met(headers: &HeaderMap, etag: &str) -> bool {
    let is_expected = match Condition::read(headers, header::IF_MATCH) {
        Condition::Absent | Condition::Any => true,
        Condition::Tags(tags) => tags.iter().any(|tag| !tag.weak && tag.opaque == etag.as_bytes()),
        Condition::Malformed => false,
    };
    let is_other = match Condition::read(headers, header::IF_NONE_MATCH) {
        Condition::Absent => true,
        Condition::Any | Condition::Malformed => false,
        Condition::Tags(tags) => tags.iter().all(|tag| tag.opaque != etag.as_bytes()),
    };
    is_expected && is_other
}

impl<'a> Condition<'a> {
    fn read(headers: &'a HeaderMap, name: HeaderName) -> Self {
        let lines: Vec<_> = headers.get_all(name).iter().map(|line| line.as_bytes().trim_ascii()).collect();
        match lines[..] {
            [] => return Self::Absent,
            [b"*"] => return Self::Any,
            _ => {}
        }
        let mut tags = Vec::new();
        for line in lines {
            let Some(listed) = listed(line) else { return Self::Malformed };
            tags.extend(listed);
        }
        Self::Tags(tags)
    }
}

fn listed(mut line: &[u8]) -> Option<Vec<Tag<'_>>> {
    let mut tags = Vec::new();
    loop {
        while let [b',' | b' ' | b'\t', rest @ ..] = line {
            line = rest;
        }
        if line.is_empty() {
            return Some(tags);
        }
        let weak = line.starts_with(b"W/");
        let quoted = if weak { &line[2..] } else { line };
        let inside = quoted.strip_prefix(b"\"")?;
        let (opaque, rest) = quoted.split_at(inside.iter().position(|c| *c == b'"')? + 2);
        tags.push(Tag { weak, opaque });
        line = rest.trim_ascii_start();
        if !line.is_empty() && !line.starts_with(b",") {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const TAG: &str = "\"7-1\"";

    fn with(name: &HeaderName, lines: &[&[u8]]) -> HeaderMap {
        lines.iter().map(|line| (name.clone(), HeaderValue::from_bytes(line).unwrap())).collect()
    }

    #[test]
    fn reads_compare_weakly() {
        let hit = |lines: &[&[u8]]| is_not_modified(&with(&header::IF_NONE_MATCH, lines), TAG.as_bytes());
        for named in [
            &[&b"\"1\", W/\"7-1\""[..]][..],
            &[b"*"],
            &[b"\"1\"", b"\"7-1\""],
            &[b"\"a,b\",\"7-1\""],
            &[b"\"\xff\" , ,\"7-1\""],
            &[b"\"a b\", \"7-1\""],
        ] {
            assert!(hit(named), "{named:?}");
        }
        for other in [&[][..], &[&b""[..]], &[b"\"1\""], &[b"\"a,*,b\""], &[b"\"x\", *"], &[b"7-1"], &[b"*", b"\"x\""], &[b"\"7-1"]] {
            assert!(!hit(other), "{other:?}");
        }
    }

    #[test]
    fn changes_compare_strongly() {
        let may = |lines: &[&[u8]]| is_precondition_met(&with(&header::IF_MATCH, lines), TAG);
        for named in [&[][..], &[&b"*"[..]], &[b"\"1\", \"7-1\""], &[b"\"1\"", b"\"7-1\""], &[b"\"a,b\",\"7-1\""]] {
            assert!(may(named), "{named:?}");
        }
        for other in [&[&b""[..]][..], &[b"\"1\""], &[b"W/\"7-1\""], &[b"\"stale,*,x\""], &[b"*, \"a\""], &[b"7-1"], &[b"\"7-1\" \"7-1\""]]
        {
            assert!(!may(other), "{other:?}");
        }
    }

    #[test]
    fn a_listed_tag_in_if_none_match_prevents_changes() {
        let may = |line: &[u8]| is_precondition_met(&with(&header::IF_NONE_MATCH, &[line]), TAG);
        for named in [&b"*"[..], b"W/\"7-1\"", b"\"\xff\", \"7-1\"", b"7-1"] {
            assert!(!may(named), "{named:?}");
        }
        assert!(may(b"\"1\"") && may(b""));
    }
}
