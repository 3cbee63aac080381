//! Entity tags and conditional requests (RFC 9110, section 13).

use axum::http::{HeaderMap, HeaderValue, header};

/// Whether `If-None-Match` names the tag (weak comparison, as GET wants it).
pub fn none_match_hit(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    listed(headers, header::IF_NONE_MATCH, etag, true)
}

/// Whether `If-Match` is absent or names the tag (strong comparison).
pub fn if_match_holds(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    !headers.contains_key(header::IF_MATCH) || listed(headers, header::IF_MATCH, etag, false)
}

fn listed(headers: &HeaderMap, name: header::HeaderName, etag: &HeaderValue, weak: bool) -> bool {
    let Ok(etag) = etag.to_str() else { return false };
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|candidate| {
        let candidate = candidate.trim();
        let candidate = if weak { candidate.strip_prefix("W/").unwrap_or(candidate) } else { candidate };
        candidate == "*" || candidate == etag
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn none_match_compares_weakly_and_if_match_strongly() {
        let tag = HeaderValue::from_static("\"7-1\"");
        assert!(none_match_hit(&headers(header::IF_NONE_MATCH, "\"1\", W/\"7-1\""), &tag));
        assert!(none_match_hit(&headers(header::IF_NONE_MATCH, "*"), &tag));
        assert!(!none_match_hit(&HeaderMap::new(), &tag));
        assert!(if_match_holds(&HeaderMap::new(), &tag));
        assert!(if_match_holds(&headers(header::IF_MATCH, "\"7-1\""), &tag));
        assert!(!if_match_holds(&headers(header::IF_MATCH, "W/\"7-1\""), &tag));
    }
}
