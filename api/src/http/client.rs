//! The address of the client behind trusted proxies.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address that the outermost of `hops` trusted proxies saw. Every proxy appends the address of its peer to
/// `X-Forwarded-For`; the entries left of those are made up by the client. Without enough entries it is the peer's.
#[must_use]
pub fn address(peer: IpAddr, headers: &HeaderMap, hops: usize) -> IpAddr {
    if hops == 0 {
        return peer;
    }
    let values = headers.get_all(FORWARDED_FOR).into_iter().filter_map(|value| value.to_str().ok());
    let entries: Vec<_> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    let seen = entries.len().checked_sub(hops).and_then(|index| entries.get(index)).and_then(|entry| parse(entry));
    seen.unwrap_or(peer)
}

/// An address, perhaps with a port, as some proxies write it.
fn parse(entry: &str) -> Option<IpAddr> {
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    bare.parse().ok().or_else(|| entry.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn seen(forwarded: &[&'static str], hops: usize) -> String {
        let headers = forwarded.iter().map(|value| (FORWARDED_FOR, HeaderValue::from_static(value))).collect();
        address("10.0.0.1".parse().unwrap(), &headers, hops).to_string()
    }

    #[test]
    fn forwarded_addresses_are_believed_only_from_trusted_proxies() {
        assert_eq!(seen(&["192.0.2.1"], 0), "10.0.0.1");
        assert_eq!(seen(&["192.0.2.1"], 1), "192.0.2.1");
        assert_eq!(seen(&["6.6.6.6, 192.0.2.1"], 1), "192.0.2.1");
        assert_eq!(seen(&["6.6.6.6, 192.0.2.1, 10.0.0.2"], 2), "192.0.2.1");
        assert_eq!(seen(&["6.6.6.6", "192.0.2.1", "10.0.0.2"], 2), "192.0.2.1");
    }

    #[test]
    fn a_request_that_came_another_way_counts_for_its_peer() {
        assert_eq!(seen(&[], 1), "10.0.0.1");
        assert_eq!(seen(&["192.0.2.1"], 2), "10.0.0.1");
        assert_eq!(seen(&["unknown"], 1), "10.0.0.1");
    }

    #[test]
    fn ports_and_brackets_are_understood() {
        assert_eq!(seen(&["192.0.2.1:4711"], 1), "192.0.2.1");
        assert_eq!(seen(&["2001:db8::1"], 1), "2001:db8::1");
        assert_eq!(seen(&["[2001:db8::1]"], 1), "2001:db8::1");
        assert_eq!(seen(&["[2001:db8::1]:4711"], 1), "2001:db8::1");
    }
}
