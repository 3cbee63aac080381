//! The address of the client behind trusted proxies.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Returns the address of the client, as the outermost of `hops` trusted proxies reports it. Every proxy appends the address of
/// its peer to `X-Forwarded-For`; the client can forge the entries before them. With too few entries, returns the peer's address.
#[must_use]
pub fn address(peer: IpAddr, headers: &HeaderMap, hops: usize) -> IpAddr {
    if hops == 0 {
        return peer;
    }
    let values = headers.get_all(FORWARDED_FOR).into_iter().filter_map(|value| value.to_str().ok());
    let entries: Vec<_> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    let client = entries.len().checked_sub(hops).and_then(|index| entries.get(index)).and_then(|entry| parse(entry));
    client.unwrap_or(peer)
}

/// Parses an entry. Some proxies append a port to the address.
fn parse(entry: &str) -> Option<IpAddr> {
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    bare.parse().ok().or_else(|| entry.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn client_address(forwarded: &[&'static str], hops: usize) -> String {
        let headers = forwarded.iter().map(|value| (FORWARDED_FOR, HeaderValue::from_static(value))).collect();
        address("10.0.0.1".parse().unwrap(), &headers, hops).to_string()
    }

    #[test]
    fn only_entries_of_trusted_proxies_are_used() {
        assert_eq!(client_address(&["192.0.2.1"], 0), "10.0.0.1");
        assert_eq!(client_address(&["192.0.2.1"], 1), "192.0.2.1");
        assert_eq!(client_address(&["6.6.6.6, 192.0.2.1"], 1), "192.0.2.1");
        assert_eq!(client_address(&["6.6.6.6, 192.0.2.1, 10.0.0.2"], 2), "192.0.2.1");
        assert_eq!(client_address(&["6.6.6.6", "192.0.2.1", "10.0.0.2"], 2), "192.0.2.1");
    }

    #[test]
    fn without_enough_forwarded_entries_the_peer_is_the_client() {
        assert_eq!(client_address(&[], 1), "10.0.0.1");
        assert_eq!(client_address(&["192.0.2.1"], 2), "10.0.0.1");
        assert_eq!(client_address(&["unknown"], 1), "10.0.0.1");
    }

    #[test]
    fn ports_and_brackets_of_entries_are_ignored() {
        assert_eq!(client_address(&["192.0.2.1:4711"], 1), "192.0.2.1");
        assert_eq!(client_address(&["2001:db8::1"], 1), "2001:db8::1");
        assert_eq!(client_address(&["[2001:db8::1]"], 1), "2001:db8::1");
        assert_eq!(client_address(&["[2001:db8::1]:4711"], 1), "2001:db8::1");
    }
}
