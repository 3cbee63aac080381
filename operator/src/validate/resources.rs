//! Checks CPU and memory, and resolves their defaults.

use super::check::Check;
use crate::crd::Resources;

/// Requests and limits of pods for which the spec sets none.
#[derive(Clone, Copy)]
pub struct Defaults {
    cpu: &'static str,
    memory: &'static str,
    memory_limit: &'static str,
}

/// Defaults of API and workers.
pub const ROLE: Defaults = Defaults { cpu: "100m", memory: "64Mi", memory_limit: "256Mi" };
/// Defaults of the embedded PostgreSQL.
pub const POSTGRES: Defaults = Defaults { cpu: "100m", memory: "256Mi", memory_limit: "1Gi" };
/// Defaults of the embedded NATS.
pub const NATS: Defaults = Defaults { cpu: "50m", memory: "64Mi", memory_limit: "512Mi" };

/// Checks the resources of a pod, and returns them or the defaults. There is no default limit of CPU, because it would only throttle.
pub fn check(path: &str, given: Option<&Resources>, defaults: Defaults, check: &mut Check<'_>) -> Resources {
    let Some(given) = given else {
        return Resources {
            requests: [("cpu".to_owned(), defaults.cpu.into()), ("memory".to_owned(), defaults.memory.into())].into(),
            limits: [("memory".to_owned(), defaults.memory_limit.into())].into(),
        };
    };
    for (name, request) in &given.requests {
        let amount = check.parse_quantity(&format!("{path}.requests.{name}"), request);
        let limit = given.limits.get(name).and_then(|limit| limit.amount().ok());
        if let (Some(amount), Some(limit)) = (amount, limit)
            && amount > limit
        {
            check.invalid(&format!("{path}.requests.{name}"), "the request must not exceed the limit: lower it or raise the limit");
        }
    }
    for (name, limit) in &given.limits {
        check.parse_quantity(&format!("{path}.limits.{name}"), limit);
    }
    given.clone()
}
