//! Conditional requests (RFC 9110, section 13).

use axum::http::HeaderMap;
use headers::{ETag, HeaderMapExt, IfMatch, IfNoneMatch};

/// Whether `If-None-Match` names the tag (weak comparison): a read is answered with 304 then.
pub fn none_match_hit(headers: &HeaderMap, etag: &str) -> bool {
    let Some(conditions) = headers.typed_get::<IfNoneMatch>() else { return false };
    etag.parse::<ETag>().is_ok_and(|etag| !conditions.precondition_passes(&etag))
}

/// Whether a resource with this tag may be changed: `If-Match` names it (strong comparison) or is absent, and
/// `If-None-Match` doesn't.
pub fn may_change(headers: &HeaderMap, etag: &str) -> bool {
    let is_expected = match headers.typed_try_get::<IfMatch>() {
        Ok(None) => true,
        Ok(Some(conditions)) => etag.parse::<ETag>().is_ok_and(|etag| conditions.precondition_passes(&etag)),
        // What cannot be understood names no tag.
        Err(_) => false,
    };
    is_expected && !none_match_hit(headers, etag)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue, header};

    use super::*;

    const TAG: &str = "\"7-1\"";

    fn with(name: &HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn reads_compare_weakly() {
        let hit = |values: &[&str]| none_match_hit(&with(&header::IF_NONE_MATCH, values), TAG);
        for named in [&["\"1\", W/\"7-1\""][..], &["*"], &["\"1\"", "\"7-1\""], &["\"a,b\",\"7-1\""]] {
            assert!(hit(named), "{named:?}");
        }
        for other in [&[][..], &[""], &["\"1\""], &["\"a,*,b\""], &["\"x\", *"], &["7-1"]] {
            assert!(!hit(other), "{other:?}");
        }
    }

    #[test]
    fn changes_compare_strongly() {
        let may = |values: &[&str]| may_change(&with(&header::IF_MATCH, values), TAG);
        for named in [&[][..], &["*"], &["\"1\", \"7-1\""], &["\"1\"", "\"7-1\""], &["\"a,b\",\"7-1\""]] {
            assert!(may(named), "{named:?}");
        }
        for other in [&[""][..], &["\"1\""], &["W/\"7-1\""], &["\"stale,*,x\""], &["*, \"a\""], &["7-1"]] {
            assert!(!may(other), "{other:?}");
        }
    }

    #[test]
    fn what_must_not_be_there_is_not_changed() {
        let may = |value: &str| may_change(&with(&header::IF_NONE_MATCH, &[value]), TAG);
        assert!(!may("*") && !may("W/\"7-1\"") && may("\"1\""));
    }
}
