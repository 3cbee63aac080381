//! Rate limits in responses: the headers `RateLimit` and `RateLimit-Policy` as in draft-ietf-httpapi-ratelimit-headers-10, and the
//! problem 429.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};

use super::problem::Problem;
use crate::rate_limit::{Allowance, WINDOW};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Builds the problem 429 with the headers of an exhausted allowance.
pub fn too_many(allowance: &Allowance, detail: &str) -> Problem {
    let problem = Problem::too_many(detail, seconds(allowance.reset));
    headers(allowance).into_iter().fold(problem, |problem, (name, value)| problem.with_header(name, value))
}

/// Converts a time to whole seconds, rounded up.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// Formats an allowance as headers.
pub fn headers(allowance: &Allowance) -> [(HeaderName, HeaderValue); 2] {
    let Allowance { policy, quota, remaining, reset } = allowance;
    let policy_text = format!("\"{policy}\";q={quota};w={}", WINDOW.as_secs());
    let limit_text = format!("\"{policy}\";r={remaining};t={}", seconds(*reset));
    let value = |text| HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
    [(RATE_LIMIT_POLICY, value(policy_text)), (RATE_LIMIT, value(limit_text))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_structured_fields_in_whole_seconds() {
        let allowance = Allowance { policy: "client", quota: 300, remaining: 299, reset: Duration::from_millis(200) };
        let [policy, limit] = headers(&allowance).map(|(_, value)| value);
        assert_eq!(policy, "\"client\";q=300;w=60");
        assert_eq!(limit, "\"client\";r=299;t=1");
    }
}
