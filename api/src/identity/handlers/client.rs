//! The client that asks to sign in or to register, and the limit on it: `RateLimit` and `RateLimit-Policy` as in
//! draft-ietf-httpapi-ratelimit-headers-10.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use axum::{
    extract::{ConnectInfo, FromRef, FromRequestParts},
    http::{HeaderMap, HeaderName, HeaderValue, request::Parts},
    response::{IntoResponse, Response},
};

use crate::{
    http::problem::Problem,
    identity::{
        Identity,
        limits::{self, Allowance, WINDOW},
    },
};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// One request taken from the allowance of its client. Without any left it is refused with 429.
pub struct Client(Allowance);

impl Client {
    /// The handler's answer with what is left of the allowance in its headers.
    pub fn answer(&self, answer: Result<impl IntoResponse, Problem>) -> Response {
        let mut response = answer.into_response();
        for (name, value) in headers(&self.0) {
            // A refusal for the account's sake says so itself.
            response.headers_mut().entry(name).or_insert(value);
        }
        response
    }
}

impl<S: Sync> FromRequestParts<S> for Client
where
    Identity: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let identity = Identity::from_ref(state);
        // Without a peer address, which no listener of ours leaves out, all share one allowance.
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0.ip());
        let address = address(peer, &parts.headers, identity.trusted_proxy_hops());
        match identity.per_client().charge(&limits::client(address)) {
            Ok(allowance) => Ok(Self(allowance)),
            Err(allowance) => Err(super::too_many(
                &allowance,
                "Too many requests to sign in or to register from this address. Wait as long as Retry-After says.",
            )),
        }
    }
}

/// The address that the outermost of `hops` trusted proxies saw. Every proxy appends whom it saw to
/// `X-Forwarded-For`; what stands left of those entries is whatever the client made up.
fn address(peer: IpAddr, headers: &HeaderMap, hops: usize) -> IpAddr {
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

/// Whole seconds, rounded up.
pub(super) fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

pub(super) fn headers(allowance: &Allowance) -> [(HeaderName, HeaderValue); 2] {
    let Allowance { policy, quota, remaining, reset } = allowance;
    let policy_text = format!("\"{policy}\";q={quota};w={}", WINDOW.as_secs());
    let limit_text = format!("\"{policy}\";r={remaining};t={}", seconds(*reset));
    let value = |text| HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
    [(RATE_LIMIT_POLICY, value(policy_text)), (RATE_LIMIT, value(limit_text))]
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn headers_are_structured_fields_in_whole_seconds() {
        let allowance = Allowance { policy: "client", quota: 300, remaining: 299, reset: Duration::from_millis(200) };
        let [policy, limit] = headers(&allowance).map(|(_, value)| value);
        assert_eq!(policy, "\"client\";q=300;w=60");
        assert_eq!(limit, "\"client\";r=299;t=1");
    }
}
